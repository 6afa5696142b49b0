"""Audit: what people, services and machines did in six cloud accounts and on their hosts over sixty days: work in office
hours, machines around the clock, failures now and then, and one night in which somebody tried passwords.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from zoneinfo import ZoneInfo

from milepost.demo.sample import Activity, Call, Command, Sample, Weighted, at, days_of, people

__all__ = ["Audit"]

DAYS = 60
WEEK = (1.1, 1.1, 1.1, 1.1, 1.0, 0.7, 0.7)
ESTATE = "estate-main"
ACCOUNTS = ("production", "staging", "data", "security", "shared", "sandbox")
ZONES = tuple(ZoneInfo(name) for name in ("Europe/Berlin", "Europe/Berlin", "America/New_York", "Asia/Kolkata"))
READS = ("s3:GetObject", "s3:ListBucket", "ec2:DescribeInstances", "iam:GetRole", "kms:Decrypt", "logs:FilterLogEvents")
CHANGES = ("s3:PutObject", "ec2:RunInstances", "ec2:StopInstances", "iam:AttachRolePolicy", "rds:ModifyDBInstance")
PROGRAMS = ("backup", "cron", "deploy", "nginx", "postgres", "python3", "sshd", "systemd-logind")
FILES = ("/etc/hosts", "/etc/ssh/sshd_config", "/var/lib/app/state.db", "/usr/lib/libssl.so.3", "/opt/app/release.tar")
ERRORS = ("AccessDenied", "Throttling", "NoSuchKey", "InvalidParameter")
# verb → weight, for people, for services, and for hosts
OF_PEOPLE = {"read": 60, "change": 18, "sign_in": 10, "sign_out": 8, "run": 4}
OF_SERVICES = {"read": 78, "change": 20, "grant": 2}
OF_HOSTS = {"start": 22, "stop": 20, "open": 18, "connect": 16, "load": 8, "write": 10, "alter": 3, "note": 3}
ATTACK_DAY = 41  # days after the beginning
ATTACK_SHARE = 0.5  # of that night's sign-ins


@dataclass(frozen=True, kw_only=True)
class Actor:
    id: str
    name: str
    kind: str  # person, service, host
    group: str
    zone: ZoneInfo
    address: str
    rate: float


class Audit(Sample):
    def __init__(self, *, anchor: datetime, size: int, seed: int = 7) -> None:
        super().__init__(anchor=anchor, size=size, seed=seed)
        self.begin = anchor - timedelta(days=DAYS)
        self.actors = self._actors(min(80, max(8, size // 600)))
        self._weights = Weighted([actor.rate for actor in self.actors])

    @property
    def summary(self) -> str:
        kinds = [sum(actor.kind == kind for actor in self.actors) for kind in ("person", "service", "host")]
        return "{} people, {} services and {} hosts in {} accounts, 60 days of events".format(*kinds, len(ACCOUNTS))

    def commands(self) -> Iterator[Command]:
        yield {"do": "put_group", "id": ESTATE, "kind": "estate", "name": "Everything we run"}
        for account in ACCOUNTS:
            yield {"do": "put_group", "id": f"account-{account}", "kind": "account", "name": account, "parent": ESTATE}
        for actor in self.actors:
            if actor.kind == "host":
                yield {"do": "put_group", "id": actor.group, "kind": "host", "name": actor.name, "parent": ESTATE}
        for actor in self.actors:
            yield {"do": "put_actor", "id": actor.id, "name": actor.name, "kind": actor.kind}
            if actor.kind == "person":
                role = "auditor" if actor.group == "account-security" else "operator"
                yield {"do": "put_member", "group": ESTATE, "actor": actor.id, "role": role, "since": "always"}

    def activities(self) -> Iterator[Activity]:
        dice = self.dice("events")
        number = 0
        first = self.begin.date()
        for day, count in days_of(first, self.anchor.date(), self.size, WEEK):
            today = []
            attacked = (day - first).days == ATTACK_DAY
            for _ in range(count):
                number += 1
                key = f"e-{number:07}"
                if attacked and dice.random() < ATTACK_SHARE:
                    moment = at(dice, day, 3.2, 0.4, ZONES[0], self.anchor)
                    today.append(self._attempt(dice, moment, key))
                    continue
                actor = self.actors[self._weights.draw(dice)]
                hour, spread = (13.5, 2.6) if actor.kind == "person" else (dice.uniform(0, 24), 0.1)
                today.append(self._event(dice, actor, at(dice, day, hour, spread, actor.zone, self.anchor), key))
            today.sort(key=lambda one: str(one["occurred_at"]))
            yield from today

    def live(self, dice: Random, now: datetime) -> Activity:
        actor = self.actors[self._weights.draw(dice)]
        return self._event(dice, actor, now, f"live-{dice.getrandbits(60):015x}")

    def tour(self) -> tuple[Call, Call, Call]:
        event = {
            "actor": self.actors[0].id,
            "verb": "sign_in",
            "group": "account-production",
            "object": {"kind": "session", "id": "try-1"},
            "data": {"action": "ConsoleLogin", "address": "198.51.100.7"},
            "status": "ok",
        }
        body = json.dumps({"activities": [event]})
        return (
            Call(shows="Log a sign-in, and wait until it is counted", path="/v1/activities", body=body),
            Call(
                shows="Search messages, and count what was found by actor",
                path="/v1/activities?q=wrong+password&facets=actor&highlight=true&limit=3",
            ),
            Call(
                shows="The estate by days, all accounts together",
                path=f"/v1/rollups/daily?group={ESTATE}&bucket=day&limit=3",
            ),
        )

    def _event(self, dice: Random, actor: Actor, moment: datetime, key: str) -> Activity:
        mix = {"person": OF_PEOPLE, "service": OF_SERVICES, "host": OF_HOSTS}[actor.kind]
        verb = dice.choices(tuple(mix), tuple(mix.values()))[0]
        failed = dice.random() < (0.04 if verb in ("read", "change", "sign_in") else 0.01)
        activity: Activity = {
            "key": key,
            "occurred_at": moment.isoformat(),
            "actor": actor.id,
            "verb": verb,
            "group": actor.group,
            "visibility": "group",
            "source": {"person": "console", "service": "api", "host": "host"}[actor.kind],
            "status": "error" if failed else "ok",
        }
        data: dict[str, str] = {}
        match verb:
            case "read" | "change":
                action = dice.choice(READS if verb == "read" else CHANGES)
                service, _, call = action.partition(":")
                data = {"action": action, "address": actor.address}
                activity["object"] = {"kind": "resource", "id": f"{service}/{dice.randrange(400):03}"}
                activity["measures"] = {"bytes_out": int(dice.lognormvariate(8, 2)) if not failed else 0}
                if failed:
                    data |= {"error": dice.choice(ERRORS), "message": f"{call} was refused for {actor.name}"}
            case "sign_in" | "sign_out":
                day = moment.astimezone(actor.zone).date()
                activity["object"] = {"kind": "session", "id": f"{actor.id}/{day}"}
                data = {"action": "ConsoleLogin" if verb == "sign_in" else "ConsoleLogout"}
                if verb == "sign_in":
                    data["address"] = actor.address
                    if failed:
                        data |= {"error": "BadPassword", "message": f"wrong password for {actor.name}"}
            case "start" | "stop":
                program = dice.choice(PROGRAMS)
                activity["object"] = {"kind": "process", "id": f"{actor.name}/{program}/{dice.randrange(60)}"}
                data = {"action": f"process.{verb}", "message": f"{program} on {actor.name}: {verb}"}
            case "load" | "write":
                activity["object"] = {"kind": "file", "id": dice.choice(FILES)}
                data = {"action": f"file.{verb}"}
            case "connect":
                data = {"action": "net.connect", "address": f"10.0.{dice.randrange(8)}.{dice.randrange(1, 255)}"}
            case _:
                data = {"action": f"{activity['source']}.{verb}"}
        activity["data"] = data
        return activity

    def _attempt(self, dice: Random, moment: datetime, key: str) -> Activity:
        actor = self.actors[dice.randrange(min(5, len(self.actors)))]
        return {
            "key": key,
            "occurred_at": moment.isoformat(),
            "actor": actor.id,
            "verb": "sign_in",
            "group": "account-production",
            "object": {"kind": "session", "id": f"{actor.id}/{moment.astimezone(UTC).date()}/attempt"},
            "data": {
                "action": "ConsoleLogin",
                "error": "BadPassword",
                "message": f"wrong password for {actor.name}",
                "address": f"203.0.113.{dice.randrange(4, 12)}",
            },
            "visibility": "group",
            "source": "console",
            "status": "error",
        }

    def _actors(self, count: int) -> list[Actor]:
        dice = self.dice("actors")
        actors = []
        for number, name in enumerate(people(dice, count), start=1):
            actors.append(self._actor(dice, number, f"u-{number:03}", name, "person", ZONES[number % len(ZONES)]))
        for number in range(1, max(4, count // 2) + 1):
            name = f"svc-{PROGRAMS[number % len(PROGRAMS)]}-{number:02}"
            actors.append(self._actor(dice, number, name, name, "service", ZoneInfo("UTC")))
        for number in range(1, max(4, count // 2) + 1):
            name = f"host-{number:02}"
            actors.append(self._actor(dice, number, name, name, "host", ZoneInfo("UTC")))
        return actors

    def _actor(self, dice: Random, number: int, id: str, name: str, kind: str, zone: ZoneInfo) -> Actor:
        """A host is a group too: what it does is its own."""
        return Actor(
            id=id,
            name=name,
            kind=kind,
            group=id if kind == "host" else f"account-{ACCOUNTS[number % len(ACCOUNTS)]}",
            zone=zone,
            address={"person": "198.51.100", "service": "10.1.0", "host": "10.0.0"}[kind] + f".{1 + number % 250}",
            rate={"person": 1.0, "service": 2.0, "host": 1.5}[kind] * dice.lognormvariate(0, 0.9),
        )
