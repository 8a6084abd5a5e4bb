"""The gRPC door, which is the SDK's own default: the same RPCs, over TLS for `localhost`."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from nbtools.emulator.call import STATUS, word
from nbtools.emulator.catalog import Catalog, Method
from nbtools.emulator.rest import LARGEST, Answer
from nbtools.errors import NbtoolsError

#: calls that are served at once.
AT_ONCE: Final = 64


def serve(port: int, catalog: Catalog, answer: Answer, folder: Path) -> tuple[Any, int]:
    """A server that listens on `port` of localhost, or on a free one for 0, and that port.

    The certificate is in `folder`: see `certificate`. Raises OSError.
    """
    import grpc

    options = [("grpc.max_receive_message_length", LARGEST), ("grpc.so_reuseport", 0)]
    server = grpc.server(ThreadPoolExecutor(AT_ONCE), options=options)
    server.add_generic_rpc_handlers((_handlers(catalog, answer),))
    key, chain = (folder / "key.pem").read_bytes(), (folder / "certificate.pem").read_bytes()
    try:
        bound = server.add_secure_port(
            f"127.0.0.1:{port}", grpc.ssl_server_credentials([(key, chain)])
        )
    except RuntimeError as error:
        raise OSError(f"port {port}: {error}") from None
    server.start()
    return server, int(bound)


def _handlers(catalog: Catalog, answer: Answer) -> Any:
    import grpc

    paths = {method.path: method for method in catalog.methods.values()}

    class Handlers(grpc.GenericRpcHandler):  # type: ignore[misc]
        def service(self, handler_call_details: Any) -> Any:
            method = paths.get(handler_call_details.method)
            if method is None:
                return None  # grpc says UNIMPLEMENTED
            wrap = grpc.unary_unary_rpc_method_handler
            if method.streams:
                wrap = grpc.unary_stream_rpc_method_handler
            return wrap(
                _many(method, answer) if method.streams else _one(method, answer),
                request_deserializer=method.request.FromString,
                response_serializer=lambda message: message.SerializeToString(),
            )

    return Handlers()


def _one(method: Method, answer: Answer) -> Any:
    def call(request: Any, context: Any) -> Any:
        try:
            return answer(method, request)
        except NbtoolsError as error:
            _abort(context, error)

    return call


def _many(method: Method, answer: Answer) -> Any:
    def call(request: Any, context: Any) -> Iterator[Any]:
        try:
            yield from answer(method, request)
        except NbtoolsError as error:
            _abort(context, error)

    return call


def _abort(context: Any, error: NbtoolsError) -> None:
    import grpc

    number = STATUS[word(error)][1]
    code = next(code for code in grpc.StatusCode if code.value[0] == number)
    context.abort(code, str(error))  # raises


def certificate(folder: Path, now: datetime) -> None:
    """Write `key.pem` and a `certificate.pem` for localhost, signed by nobody else, into
    `folder`; and `roots.pem`, which is that and all whom gRPC trusts by itself: what it is told
    to trust takes the place of those. What is there already stays.
    """
    if (folder / "roots.pem").exists():
        return
    import grpc
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    others = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=3650))
        .add_extension(x509.SubjectAlternativeName(others), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    text = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    (folder / "key.pem").touch(mode=0o600)
    (folder / "key.pem").write_bytes(text)
    own = made.public_bytes(serialization.Encoding.PEM)
    (folder / "certificate.pem").write_bytes(own)
    others_pem = Path(grpc.__file__).parent / "_cython" / "_credentials" / "roots.pem"
    known = others_pem.read_bytes() if others_pem.exists() else b""
    beside = folder / "roots.part"
    beside.write_bytes(known + b"\n" + own)
    beside.rename(folder / "roots.pem")
