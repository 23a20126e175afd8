"""Where the API server is: kubeconfigs, service accounts, plugins; and what is refused."""

from __future__ import annotations

import base64
import datetime
import ipaddress
import os
import ssl
import stat
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from shared.errors import KubeError, KubeUnreachable
from shared.kube import KubeClient
from shared.kube.config import Bearer, in_cluster, load
from tests.scripted import Exchange, serving


def kubeconfig(path: Path, *, cluster: dict[str, Any], user: dict[str, Any] | None = None, name: str = "c") -> str:
    document = {
        "current-context": name,
        "clusters": [{"name": name, "cluster": cluster}],
        "users": [{"name": name, "user": user or {}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
    }
    path.write_text(yaml.safe_dump(document))
    return str(path)


def echo(exchange: Exchange) -> None:
    exchange.reply(200, {"authorization": exchange.headers["Authorization"]})


@pytest.mark.parametrize(
    ("user", "header"),
    [
        ({"token": "t1"}, "Bearer t1"),
        ({"tokenFile": "token"}, "Bearer from-file"),
        ({"username": "u", "password": "p"}, "Basic dTpw"),
        ({}, None),
    ],
)
def test_static_credentials(tmp_path: Path, user: dict[str, Any], header: str | None) -> None:
    """A token, a token file beside the kubeconfig, a password or nothing: each arrives as it should."""
    (tmp_path / "token").write_text("from-file\n")
    with serving(echo) as server:
        kube = KubeClient.from_config(kubeconfig(tmp_path / "config", cluster={"server": server.url}, user=user))
        assert kube.get("/version") == {"authorization": header}


def test_a_token_file_is_read_again_every_minute(tmp_path: Path) -> None:
    """A rotated token is used within a minute; while the file cannot be read the old token stays."""
    now, path = [0.0], tmp_path / "token"
    path.write_text("one")
    bearer = Bearer(path=path, clock=lambda: now[0])
    path.write_text("two")
    now[0] = 59
    assert bearer() == "Bearer one"
    now[0] = 60
    assert bearer() == "Bearer two"
    path.unlink()
    now[0] = 121
    assert bearer() == "Bearer two"


def test_in_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, authority: Authority) -> None:
    """Inside a pod the service account is used, and an IPv6 host gets its brackets."""
    (tmp_path / "token").write_text("sa")
    (tmp_path / "ca.crt").write_text(authority.pem)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "fd00::1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "6443")
    access = in_cluster(tmp_path)
    assert access.url == "https://[fd00::1]:6443"
    assert access.authorization() == "Bearer sa"
    assert "sa" not in repr(access)
    (tmp_path / "token").unlink()
    with pytest.raises(KubeError, match="token"):
        in_cluster(tmp_path)


def test_nothing_is_configured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Outside a pod and without a kubeconfig the error says what to give."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(KubeError, match="--kubeconfig"):
        load()


def test_files_are_merged_as_kubectl_does(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Of several files in $KUBECONFIG the first that has a name wins; another context may be chosen."""
    one = kubeconfig(tmp_path / "1", cluster={"server": "http://one"}, name="a")
    two = kubeconfig(tmp_path / "2", cluster={"server": "http://two"}, name="b")
    again = kubeconfig(tmp_path / "3", cluster={"server": "http://three"}, name="a")
    monkeypatch.setenv("KUBECONFIG", os.pathsep.join((one, two, again)))
    assert load().url == "http://one"
    assert load(None, "b").url == "http://two"
    with pytest.raises(KubeError, match=r"no context 'x'.*one of: a, b"):
        load(None, "x")


@pytest.mark.parametrize(
    ("cluster", "user", "message"),
    [
        ({"server": "http://x", "proxy-url": "http://p"}, {}, "proxy-url is not supported"),
        ({"server": "https://x", "tls-server-name": "y"}, {}, "tls-server-name is not supported"),
        ({"server": "http://x"}, {"as": "root"}, "as is not supported"),
        ({"server": "x:6443"}, {}, "expected an http"),
        ({"server": "https://x", "certificate-authority": "gone.pem"}, {}, "gone.pem: cannot be read"),
        ({"server": "https://x", "certificate-authority-data": "%%"}, {}, "not base64"),
        ({"server": "https://x"}, {"client-certificate-data": "eA==", "client-key-data": "eA=="}, "not usable"),
        ({"server": "http://x"}, {"token": "s3c\nret"}, "characters that no token has"),
    ],
)
def test_what_cannot_be_used_is_said(
    tmp_path: Path, cluster: dict[str, Any], user: dict[str, Any], message: str
) -> None:
    """What would change where or as whom we speak, or cannot be read, is refused by name and shows no secret."""
    with pytest.raises(KubeError, match=message) as caught:
        load(kubeconfig(tmp_path / "config", cluster=cluster, user=user))
    assert "s3c" not in str(caught.value)


@pytest.mark.parametrize("text", ["a: [s3cret", "- 1", "", "\x00"])
def test_a_file_that_is_no_kubeconfig(tmp_path: Path, text: str) -> None:
    """A broken file is named and not quoted."""
    (tmp_path / "config").write_text(text)
    with pytest.raises(KubeError, match="config") as caught:
        load(str(tmp_path / "config"))
    assert "s3cret" not in str(caught.value)


def test_a_plugin_gives_the_token_and_is_run_again_on_401(tmp_path: Path) -> None:
    """An exec plugin's token is used, and when it is refused the plugin is run once more."""
    plugin = tmp_path / "plugin"
    plugin.write_text(
        "#!/bin/sh\n"
        f"n=$(cat {tmp_path}/count 2>/dev/null || echo 0); n=$((n+1)); echo $n > {tmp_path}/count\n"
        'echo \'{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential",'
        ' "status": {"token": "run-\'$n\'"}}\'\n'
    )
    plugin.chmod(plugin.stat().st_mode | stat.S_IEXEC)
    user = {
        "exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": str(plugin), "interactiveMode": "Never"}
    }

    def answer(exchange: Exchange) -> None:
        exchange.reply(200 if exchange.headers["Authorization"] == "Bearer run-2" else 401, {"ok": True})

    with serving(answer) as server:
        kube = KubeClient.from_config(kubeconfig(tmp_path / "config", cluster={"server": server.url}, user=user))
        assert kube.get("/version") == {"ok": True}
        assert (tmp_path / "count").read_text().strip() == "2"


class Authority:
    """A certificate authority, a server's and a client's certificate."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.pem = self._certificate("ca", self.key, None).decode()
        (folder / "ca.pem").write_text(self.pem)

    def _certificate(self, name: str, key: ec.EllipticCurvePrivateKey, issuer: str | None) -> bytes:
        now = datetime.datetime.now(datetime.UTC)
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        signer = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, issuer or name)])
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(signer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(minutes=1))
            .not_valid_after(now + datetime.timedelta(hours=1))
            .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
            .add_extension(
                x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
            )
        )
        return builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    def pair(self, name: str) -> tuple[str, str]:
        """Certificate and key files."""
        key = ec.generate_private_key(ec.SECP256R1())
        (self.folder / f"{name}.pem").write_bytes(self._certificate(name, key, "ca"))
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        (self.folder / f"{name}.key").write_bytes(pem)
        return str(self.folder / f"{name}.pem"), str(self.folder / f"{name}.key")

    def server(self) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cadata=self.pem)
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_cert_chain(*self.pair("server"))
        return context


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def hello_or_stream(exchange: Exchange) -> None:
    subject = exchange.connection.getpeercert()["subject"]  # type: ignore[attr-defined]
    if "watch=1" in exchange.path:
        exchange.open_stream()
        exchange.event("ADDED", {"metadata": {"name": subject[0][0][1]}})
        exchange.end_stream()
    else:
        exchange.reply(200, {"client": subject[0][0][1]})


@pytest.mark.parametrize("inline", [True, False])
def test_client_certificates(tmp_path: Path, authority: Authority, inline: bool) -> None:
    """A client certificate, as files or inline, opens both ordinary calls and watches; no file of ours remains."""
    certificate, key = authority.pair("alice")
    if inline:
        encoded = [base64.b64encode(Path(path).read_bytes()).decode() for path in (certificate, key)]
        user = {"client-certificate-data": encoded[0], "client-key-data": encoded[1]}
    else:
        user = {"client-certificate": "alice.pem", "client-key": "alice.key"}
    with serving(hello_or_stream, authority.server()) as server:
        cluster = {"server": server.url, "certificate-authority": "ca.pem"}
        kube = KubeClient.from_config(kubeconfig(tmp_path / "config", cluster=cluster, user=user))
        assert kube.get("/version") == {"client": "alice"}
        with kube.watch("/api/v1/nodes", "1", timeout=5) as stream:
            assert [event["object"]["metadata"]["name"] for event in stream] == ["alice"]


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
def test_an_unknown_authority_is_refused(tmp_path: Path, authority: Authority) -> None:
    """A server whose certificate our authority did not sign is not spoken to, unless the kubeconfig says so."""
    authority.pair("alice")
    user = {"client-certificate": "alice.pem", "client-key": "alice.key"}
    with serving(hello_or_stream, authority.server()) as server:
        config = tmp_path / "config"
        kube = KubeClient.from_config(kubeconfig(config, cluster={"server": server.url}, user=user))
        with pytest.raises(KubeUnreachable, match=r"[Cc]ertificate"):
            kube.get("/version")
        with pytest.raises(KubeUnreachable):
            kube.watch("/api/v1/nodes", "1", timeout=5)
        insecure = {"server": server.url, "insecure-skip-tls-verify": True}
        kube = KubeClient.from_config(kubeconfig(config, cluster=insecure, user=user))
        assert kube.get("/version") == {"client": "alice"}
