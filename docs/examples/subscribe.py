"""Prints biotope's events as they come: one line for each, JSON with --json; with --stored also what was said before.

    pip install nats-py msgpack
    python3 subscribe.py nats://127.0.0.1:4222 --count 10
"""

import argparse
import asyncio
import json

import msgpack
import nats

STREAMS = ["BIOTOPE_BUILD", "BIOTOPE_EVENTS", "BIOTOPE_INCIDENTS"]


async def main() -> None:
    arguments = argparse.ArgumentParser(description="Prints biotope's events as they come.")
    arguments.add_argument("server", help="address of NATS, such as nats://127.0.0.1:4222")
    arguments.add_argument("--subject", default="biotope.v1.>", help="subjects to follow")
    arguments.add_argument("--stored", action="store_true", help="begin with what the streams hold")
    arguments.add_argument("--count", type=int, default=0, help="end after this many events; 0 goes on")
    arguments.add_argument("--json", action="store_true", help="print whole events")
    chosen = arguments.parse_args()

    connection = await nats.connect(chosen.server)
    arrived = asyncio.Queue()
    if chosen.stored:
        # An ordered consumer needs no acknowledgement and starts again by itself where it was cut off.
        for stream in STREAMS:
            await connection.jetstream().subscribe(
                chosen.subject, stream=stream, ordered_consumer=True, cb=arrived.put
            )
    else:
        await connection.subscribe(chosen.subject, cb=arrived.put)
    # Whoever starts us waits for this line: from here on nothing is missed.
    await connection.flush()
    print("subscribed", flush=True)
    seen = 0
    while True:
        message = await arrived.get()
        try:
            event = msgpack.unpackb(message.data, raw=False, strict_map_key=True)
            kind = event["type"]
        except (ValueError, KeyError, TypeError, msgpack.exceptions.ExtraData):
            # Commands (biotope.v1.<cluster>.ask.>) and their like are no events.
            continue
        if chosen.json:
            print(json.dumps(event), flush=True)
        else:
            identity = event.get("identity", {})
            print(event["time"], kind, identity.get("pod_uid") or identity.get("image") or "", flush=True)
        seen += 1
        if chosen.count and seen >= chosen.count:
            break
    await connection.close()


asyncio.run(main())
