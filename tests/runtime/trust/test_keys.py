import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from ganspect.errors import ConfigError, OutputError
from ganspect.runtime.trust.keys import fingerprint, is_signed, read_private_key, read_public_key, write_key_pair


def test_a_pair_belongs_together_and_the_private_key_is_its_owners(tmp_path):
    public = write_key_pair(tmp_path / "line.pem")
    assert public == tmp_path / "line.pub.pem"
    assert (tmp_path / "line.pem").stat().st_mode & 0o777 == 0o600
    signature = read_private_key(tmp_path / "line.pem").sign(b"message")
    assert is_signed(read_public_key(public), signature, b"message")
    assert not is_signed(read_public_key(public), signature, b"another")
    assert len(fingerprint(read_public_key(public))) == 64


@pytest.mark.parametrize("there", ["line.pem", "line.pub.pem"])
def test_a_key_is_never_overwritten_and_none_is_left_alone(tmp_path, there):
    (tmp_path / there).write_text("precious")
    with pytest.raises(OutputError, match="is there already, and a key is never overwritten"):
        write_key_pair(tmp_path / "line.pem")
    assert [path.name for path in tmp_path.iterdir()] == [there]
    assert (tmp_path / there).read_text() == "precious"


def test_an_encrypted_key_asks_for_its_passphrase(tmp_path):
    write_key_pair(tmp_path / "line.pem", "hunter2")
    read_private_key(tmp_path / "line.pem", "hunter2")
    with pytest.raises(ConfigError, match="is encrypted; name the variable"):
        read_private_key(tmp_path / "line.pem")
    with pytest.raises(ConfigError, match="cannot be decrypted with this passphrase"):
        read_private_key(tmp_path / "line.pem", "hunter3")


def test_a_passphrase_too_many(tmp_path):
    write_key_pair(tmp_path / "line.pem")
    with pytest.raises(ConfigError, match="is not encrypted, and a passphrase was given"):
        read_private_key(tmp_path / "line.pem", "hunter2")


def test_keys_that_took_each_others_place(tmp_path):
    public = write_key_pair(tmp_path / "line.pem")
    with pytest.raises(ConfigError, match=r"holds a private key, .*; give the public one, such as line\.pub\.pem"):
        read_public_key(tmp_path / "line.pem")
    with pytest.raises(ConfigError, match="holds a public key, which cannot sign"):
        read_private_key(public)


def test_keys_of_another_kind(tmp_path):
    key = ec.generate_private_key(ec.SECP256R1())
    (tmp_path / "ec.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with pytest.raises(ConfigError, match="holds a key of another kind, Ed25519 is needed; make a pair with"):
        read_private_key(tmp_path / "ec.pem")
    public = rsa.generate_private_key(65537, 1024).public_key()
    (tmp_path / "rsa.pub.pem").write_bytes(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    with pytest.raises(ConfigError, match="holds a key of another kind"):
        read_public_key(tmp_path / "rsa.pub.pem")


@pytest.mark.parametrize("read", [read_private_key, read_public_key])
def test_what_is_no_key(tmp_path, read):
    with pytest.raises(ConfigError, match=r"cannot read the key .*: No such file or directory; give a PEM file"):
        read(tmp_path / "none.pem")
    (tmp_path / "text.pem").write_text("hello")
    with pytest.raises(ConfigError, match=r"text\.pem holds no (private|public) key in PEM; make a pair with"):
        read(tmp_path / "text.pem")
