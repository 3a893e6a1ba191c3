"""A mail server for tests, with the faults that real ones have.

Takes one JSON object of options as its argument, listens on a free port of the loopback
interface, prints the port, writes each accepted message to a file, and ends with its standard
input. `attempts.log` gets a line for each recipient asked for.
"""

import asyncio
import base64
import json
import pathlib
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult

OPTIONS = json.loads(sys.argv[1])
FOLDER = pathlib.Path(OPTIONS["dir"])
left = {name: OPTIONS.get(name, 0) for name in ("greylist", "cut", "lose_ack")}


def take(name):
    """Whether this fault still has a go."""
    left[name] -= 1
    return left[name] >= 0


class Server(SMTP):
    async def smtp_DATA(self, arg):
        if take("cut"):
            await self.push("354 go on")
            await self._reader.readline()
            self.transport.abort()
            return
        await super().smtp_DATA(arg)


class Handler:
    count = 0

    async def handle_RCPT(self, server, session, envelope, address, options):
        with (FOLDER / "attempts.log").open("a") as log:
            log.write(address + "\n")
        await asyncio.sleep(OPTIONS.get("slow", 0))
        if address in OPTIONS.get("refuse", []):
            return "550 5.1.1 no such user"
        if take("greylist"):
            return "451 4.7.1 come back later"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        await asyncio.sleep(OPTIONS.get("slow", 0))
        if "data_reply" in OPTIONS:
            return OPTIONS["data_reply"]
        if OPTIONS.get("hang"):
            await asyncio.sleep(3600)
        Handler.count += 1
        name = f"{Handler.count:04}"
        encrypted = server.transport.get_extra_info("ssl_object") is not None
        head = f"X-To: {','.join(envelope.rcpt_tos)}\r\nX-Tls: {encrypted}\r\n"
        head += f"X-Login: {session.authenticated}\r\n"
        part = FOLDER / (name + ".part")
        part.write_bytes(head.encode() + envelope.original_content)
        part.rename(FOLDER / (name + ".eml"))
        if take("lose_ack"):
            server.transport.abort()
        return "250 2.0.0 taken"


def authenticator(server, session, envelope, mechanism, data):
    right = [data.login.decode(), data.password.decode()] == OPTIONS.get("auth")
    if OPTIONS.get("echo"):
        # In the clear, and in base 64 as servers do that repeat the line they were sent.
        user, password = data.login, data.password
        forms = (b"\0%b\0%b" % (user, password), password, b"%b:%b" % (user, password))
        forms = [password.decode(), *(base64.b64encode(form).decode() for form in forms)]
        said = f"535 5.7.8 not {user.decode()} with {' or '.join(forms)}"
        return AuthResult(success=False, handled=False, message=said)
    return AuthResult(success=right, handled=False)


def context():
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(OPTIONS["cert"], OPTIONS["key"])
    return made


async def main():
    loop = asyncio.get_running_loop()
    tls = context() if "cert" in OPTIONS else None
    implicit = OPTIONS.get("implicit", False)

    def factory():
        return Server(
            Handler(),
            loop=loop,
            tls_context=None if implicit else tls,
            authenticator=authenticator if "auth" in OPTIONS else None,
            auth_required="auth" in OPTIONS,
            auth_require_tls=not (implicit or OPTIONS.get("plain_auth")),
        )

    server = await loop.create_server(
        factory, "127.0.0.1", OPTIONS.get("port", 0), ssl=tls if implicit else None
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


asyncio.run(main())
