"""The test server on the package websockets; goservers_test.go says what it does."""

import asyncio
import json
import os
import signal
import ssl
import sys

import websockets

options = json.loads(sys.argv[1])
conns = 0


def tell(**line):
    os.write(1, (json.dumps(line) + "\n").encode())


async def serve(ws):
    global conns
    conns += 1
    conn = conns
    tell(event="open", conn=conn, text=ws.path)
    try:
        async for message in ws:
            if isinstance(message, bytes):
                await ws.send(message)
                continue
            tell(event="text", conn=conn, text=message[:40])
            if message == "ping":
                await ws.send("pong")
            elif message.startswith("say "):
                await ws.send(message[4:])
            elif message.startswith("close "):
                _, code, reason = message.split(" ", 2)
                await ws.close(int(code), reason)
    except websockets.ConnectionClosed:
        pass
    finally:
        tell(event="close", conn=conn, code=ws.close_code or 1006, text=ws.close_reason or "")


async def main():
    tls = None
    if options.get("cert"):
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(options["cert"], options["key"])
    stopped = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set_result, None)
    async with websockets.serve(
        serve, options["host"], options["port"], ssl=tls,
        compression="deflate" if options.get("deflate") else None,
        subprotocols=[options["subprotocol"]] if options.get("subprotocol") else None,
    ):  # its end closes every connection with 1001
        tell(event="listening")
        await stopped


asyncio.run(main())
