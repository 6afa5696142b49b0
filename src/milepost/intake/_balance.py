"""Who should serve which lane: an even share for each loader that lives, decided by each for itself from the same two tables.

With L lanes and N loaders each has L // N of them, and L % N have one more. A loader that has more than its share leaves some; one
that has less takes free ones. Where somebody has less than L // N, one loader that has more, the one with the most, leaves one lane
a look; nobody takes more than L // N meanwhile. So a lane moves only towards an even share, and rests there.

What a loader sees may be a moment old: then two may reach for one lane (the lease decides), or one is left too many (it is taken
back). Neither loads anything twice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass

__all__ = ["Plan", "plan"]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """take: free lanes to ask for. leave: lanes of one's own to give up after the load under way."""

    take: tuple[int, ...] = ()
    leave: tuple[int, ...] = ()


def plan(me: str, holders: Mapping[int, str | None], live: Collection[str]) -> Plan:
    """What this loader should do. holders: of each lane, None where it is free; live: the loaders, with or without this one.

    A lane whose holder is not among the loaders is somebody's for now: it is neither taken nor counted to anyone's share.
    """
    loaders = sorted({*live, me})
    held = Counter(dict.fromkeys(loaders, 0))
    free, mine = [], []
    for lane, holder in sorted(holders.items()):
        if holder is None:
            free.append(lane)
        elif holder in held:
            held[holder] += 1
            if holder == me:
                mine.append(lane)
    least, extra = divmod(len(holders), len(loaders))
    most = least + 1 if extra else least
    missing = sum(max(0, least - held[other]) for other in loaders if other != me)
    room = (least if missing else most) - held[me]
    if room > 0:
        # Each begins at another place, so that not all reach for the same lane.
        start = loaders.index(me) * len(free) // len(loaders)
        return Plan(take=tuple((free[start:] + free[:start])[:room]))
    if held[me] > most:
        return Plan(leave=tuple(mine[most:]))
    if missing > len(free) and held[me] > least and (held[me], me) == max((held[other], other) for other in loaders):
        return Plan(leave=(mine[-1],))
    return Plan()
