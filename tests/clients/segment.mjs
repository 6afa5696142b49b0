// Sends what its one argument says, as JSON {url, key, messages}, with Segment's own client, and ends when all is delivered.
import { Analytics } from '@segment/analytics-node'

const { url, key, messages } = JSON.parse(process.argv[2])
const analytics = new Analytics({ writeKey: key, host: url, flushAt: 10, flushInterval: 50, maxRetries: 20 })
let failed = 0
analytics.on('error', (error) => {
  failed += 1
  console.error(String(error.reason ?? error.message ?? error))
})
for (const { type, ...message } of messages) {
  analytics[type]({ ...message, timestamp: message.timestamp && new Date(message.timestamp) })
}
await analytics.closeAndFlush({ timeout: 60_000 })
process.exit(failed === 0 ? 0 : 1)
