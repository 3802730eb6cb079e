import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
from cache_support import QuickDisk, key_of, make_result, publish, read_text
from ddbuild.building.tiers import open_tiers
from ddbuild.cache.actions import decode_result, decode_signed, encode_result
from ddbuild.cache.cache import Cache, CacheMissError
from ddbuild.cache.signing import Trust, UntrustedError, create_private_key, find_private_key, read_public_key
from ddbuild.cache.stats import count_tier
from ddbuild.cache.tier import Tier
from ddbuild.cache.verify import verify_tier
from ddbuild.errors import GraphError, UsageError
from ddbuild.workspace import Settings

KEY, DEEP, OTHER = key_of("content"), key_of("deep"), key_of("other")


class Team:
    """A shared folder, and people with keys; `ada` and `bob` are trusted."""

    def __init__(self, folder):
        self.folder = folder
        self.keys = {name: create_private_key(folder / "keys" / name) for name in ("ada", "bob", "eve")}
        self.trusted = [self.keys["ada"], self.keys["bob"]]
        self.warnings = []

    def trust(self, key):
        return Trust(self.trusted, key and self.folder / "keys" / key)

    def machine(self, name, *, key=None, trust=True, writable=True):
        trust = self.trust(key) if trust else None
        shared = Tier(self.folder / "team", "shared", writable, trust=trust, disk=QuickDisk())
        return Cache(Tier(self.folder / name, "local", disk=QuickDisk()), shared, self.warnings.append)

    @property
    def layout(self):
        return Tier(self.folder / "team", "shared").layout


@pytest.fixture
def team(tmp_path):
    return Team(tmp_path)


def overwrite(path, data):
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():
        path.chmod(0o644)
    path.write_bytes(data)


SAID = "has results that no trusted key has signed; none is used"


def test_signed_result_is_a_hit_for_who_trusts_the_key(team):
    result = publish(team.machine("a", key="ada"), KEY, "one", deep_key=DEEP)
    for name, key in (("b", "bob"), ("c", None)):
        cache = team.machine(name, key=key)
        for looked_up in (KEY, DEEP):
            assert read_text(cache, cache.lookup(looked_up)[0]) == "one"
        assert cache.find(KEY)[0] == result
    assert team.warnings == []


def test_signature_is_in_the_file_of_the_result_and_others_can_read_it_too(team):
    result = publish(team.machine("a", key="ada"), KEY, "one")
    data = team.layout.action(KEY).read_bytes()
    assert data.startswith(b'{"schema":1,"checksum":"xxh3_128:')
    assert decode_result(data) == result
    assert decode_signed(data)[1].startswith(team.keys["ada"] + ":")
    assert team.machine("careless", trust=False).lookup(KEY) == (result, "shared")


def test_unsigned_result_is_a_miss_and_is_told_once(team):
    for name in "xyz":
        publish(team.machine("careless", trust=False), key_of(name), name)
    b = team.machine("b", key="bob")
    assert [b.lookup(key_of(name)) for name in "xyz"] == [None] * 3
    assert len(team.warnings) == 1 and SAID in team.warnings[0]


def test_result_signed_by_somebody_else_is_a_miss(team):
    eve = team.machine("e", key="eve")
    eve.shared.trust = Trust([team.keys["eve"]], team.folder / "keys" / "eve")
    eve = Cache(eve.local, Tier(team.folder / "team", "shared", trust=eve.shared.trust, disk=QuickDisk()))
    publish(eve, KEY, "poison")
    assert eve.lookup(KEY)
    assert team.machine("b").lookup(KEY) is None


def test_own_result_takes_the_place_of_an_untrusted_one(team):
    publish(team.machine("careless", trust=False), KEY, "poison", deep_key=DEEP)
    mine = publish(team.machine("a", key="ada"), KEY, "mine", deep_key=DEEP)
    assert read_text(team.machine("a", key="ada"), mine) == "mine"
    assert team.machine("c").lookup(KEY)[0] == team.machine("c").lookup(DEEP)[0] == mine


def test_who_has_no_key_only_reads(team):
    c = team.machine("c")
    result = publish(c, KEY, "one")
    assert c.lookup(KEY) == (result, "local")
    with c.lease(OTHER) as lease:
        assert lease.is_held
    c.record_family(key_of("family"), 10, KEY)
    c.note_uses(key_of("request"), [KEY])
    assert not (team.folder / "team").exists()
    assert team.warnings == []


def test_key_that_is_not_trusted_is_told_and_signs_nothing(team):
    publish(team.machine("e", key="eve"), KEY, "one")
    assert not team.layout.action(KEY).exists()
    assert len(team.warnings) == 1
    assert "is not among the `trusted_keys`; results are not shared" in team.warnings[0]


# What somebody who can write the folder may try


def test_result_under_another_key_is_a_miss(team):
    publish(team.machine("a", key="ada"), KEY, "one")
    data = team.layout.action(KEY).read_bytes()
    overwrite(team.layout.action(OTHER), data)
    overwrite(team.layout.action(KEY, 1), data)
    c = team.machine("c")
    assert c.lookup(OTHER) is None
    assert c.lookup(KEY, 1) is None


@pytest.mark.parametrize("field", ["key", "deep_key", "retry", "output", "digest", "rows"])
def test_no_field_of_a_signed_result_can_be_changed(team, field):
    result = publish(team.machine("a", key="ada"), KEY, "one", deep_key=DEEP)
    _, signature, _ = decode_signed(team.layout.action(KEY).read_bytes())
    other = publish(team.machine("careless", trust=False), OTHER, "poison")
    value = {"key": OTHER, "deep_key": OTHER, "retry": 1, "output": other.output, "digest": other.digest, "rows": 9}[
        field
    ]
    forged = result.model_copy(update={field: value})
    data = encode_result(forged)  # with a right checksum
    data = data.replace(b',"result":', b',"signature":"%b","result":' % signature.encode(), 1)
    assert decode_result(data) == forged
    for key in (KEY, OTHER, DEEP):
        for retry in (0, 1):
            overwrite(team.layout.action(key, retry), data)
    c = team.machine("c")
    assert [c.lookup(key, retry) for key in (KEY, OTHER, DEEP) for retry in (0, 1)] == [None] * 6


def test_damaged_signatures_are_none(team):
    result = publish(team.machine("a", key="ada"), KEY, "one")
    trust = team.trust(None)
    _, signature, body = decode_signed(team.layout.action(KEY).read_bytes())
    trust.check(signature, body, result)
    name, value, hashes = signature.removeprefix("ed25519:").split(":")
    swapped = hashes[:10] + ("A" if hashes[10] != "A" else "B") + hashes[11:]
    for wrong in (
        None,
        "",
        signature + ":",
        f"ed25519:{name}:{value}:",
        f"ed25519:{name}:{value}:{swapped}",
        f"ed25519:{name}:{value[:-3]}A==:{hashes}",
        f"ed25519:{name}:{value}:{hashes}AAAA",
        f"ed25519:{'A' * 43}=:{value}:{hashes}",
    ):
        fresh = team.trust(None)
        with pytest.raises(UntrustedError):
            fresh.check(wrong, body, result)
        assert fresh.vouches_for(result.output) is None
    with pytest.raises(UntrustedError):
        trust.check(signature, body + b" ", result)


def test_other_bytes_with_the_same_digest_are_refused(team, monkeypatch):
    """The cache's digest is made for speed: who wants to can find other bytes for it. Here all digests are equal."""
    from ddbuild.cache import cas

    class Blind:
        def __init__(self, data=b""):
            pass

        def update(self, data):
            pass

        def hexdigest(self):
            return "0" * 32

    monkeypatch.setattr(cas.xxhash, "xxh3_128", Blind)
    a = team.machine("a", key="ada")
    result = a.publish(make_result(a.put_bytes(b"rows"), KEY))
    overwrite(team.layout.blob(result.output.digest), b"evil")
    careless = team.machine("careless", trust=False)
    assert careless.fetch(careless.lookup(KEY)[0].output).read_bytes() == b"evil"
    c = team.machine("c")
    found = c.lookup(KEY)[0]
    with pytest.raises(CacheMissError):
        c.fetch(found.output)
    assert not c.local.has(found.output)
    assert c.lookup(KEY) is None
    assert [path.read_bytes() for path in team.layout.quarantine.iterdir()] == [b"evil"]
    overwrite(team.layout.blob(result.output.digest), b"evil")
    (damage,) = verify_tier(team.machine("d").shared).damage
    assert damage.what == "it is not the one that was signed"


def test_blob_that_nobody_vouches_for_is_not_taken(team):
    publish(team.machine("careless", trust=False), KEY, "poison")
    c = team.machine("c")
    result = make_result(team.machine("careless", trust=False).lookup(KEY)[0].output, KEY)
    c.local.write_action(KEY, result, is_complete=lambda found: True)  # noted before signatures were asked for
    assert c.find(KEY) == (result, "local")
    assert c.lookup(KEY) is None
    with pytest.raises(CacheMissError):
        c.fetch(result.output)


def test_notes_about_families_are_not_believed(team):
    team.machine("careless", trust=False).record_family(key_of("family"), 10, OTHER)
    assert team.machine("c").family_members(key_of("family")) == []
    c = team.machine("c")
    c.record_family(key_of("family"), 20, KEY)
    assert c.family_members(key_of("family")) == [(20, KEY)]


# Aliases, upkeep


def test_alias_that_another_machine_adds_is_signed_by_that_one(team):
    first = publish(team.machine("a", key="ada"), KEY, "one", deep_key=DEEP)
    again = publish(team.machine("b", key="bob"), KEY, "two", deep_key=OTHER)
    assert again.digest == first.digest
    _, signature, _ = decode_signed(team.layout.action(OTHER).read_bytes())
    assert signature.startswith(team.keys["bob"])
    c = team.machine("c")
    assert read_text(c, c.lookup(OTHER)[0]) == "one"


def test_verify_counts_untrusted_results_and_leaves_them(team):
    publish(team.machine("careless", trust=False), KEY, "one")
    publish(team.machine("a", key="ada"), OTHER, "two")
    report = verify_tier(team.machine("c").shared, repair=True)
    assert report.ok and report.untrusted == 1
    assert count_tier(team.machine("c").shared).results == 2
    assert team.machine("careless", trust=False).lookup(KEY)


def test_damaged_shared_blob_is_healed_from_a_machine_that_can_vouch(team):
    a = team.machine("a", key="ada")
    result = publish(a, KEY, "one")
    overwrite(team.layout.blob(result.output.digest), b"rows of 0ne")
    fresh = team.machine("a", key="ada")
    report = verify_tier(fresh.shared, fresh.local, repair=True)
    assert [(each.kind, each.repair) for each in report.damage] == [("blob", "healed")]
    c = team.machine("c")
    assert read_text(c, c.lookup(KEY)[0]) == "one"


# Keys


def test_private_key_is_its_owners_only(tmp_path):
    path = tmp_path / "config" / "ddbuild" / "signing-key.pem"
    public = create_private_key(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert read_public_key(path) == public
    with pytest.raises(UsageError, match="is there already, and nothing is overwritten"):
        create_private_key(path)
    assert read_public_key(path) == public


def test_private_key_that_others_can_read_is_refused(team):
    path = team.folder / "keys" / "ada"
    path.chmod(0o640)
    with pytest.raises(UsageError, match="can be read by others") as caught:
        read_public_key(path)
    assert caught.value.hint == f"chmod 600 {path}"
    publish(team.machine("a", key="ada"), KEY, "one")
    assert "can be read by others; results are not shared" in team.warnings[0]


@pytest.mark.parametrize("content", [b"", b"hello", b"\0" * 100_000])
def test_file_that_is_no_key_is_refused(tmp_path, content):
    (tmp_path / "key").write_bytes(content)
    (tmp_path / "key").chmod(0o600)
    with pytest.raises(UsageError, match="holds no signing key"):
        read_public_key(tmp_path / "key")


def test_missing_key_and_what_is_no_file_are_told(tmp_path):
    with pytest.raises(UsageError, match="cannot be read: no such file"):
        read_public_key(tmp_path / "key")
    with pytest.raises(UsageError, match=r"is a directory|is no file"):
        read_public_key(tmp_path)


def test_where_the_private_key_is(tmp_path):
    home = {"HOME": "/home/ada"}
    assert find_private_key(home) == Path("/home/ada/.config/ddbuild/signing-key.pem")
    assert find_private_key(home | {"XDG_CONFIG_HOME": "/c"}) == Path("/c/ddbuild/signing-key.pem")
    assert find_private_key(home | {"XDG_CONFIG_HOME": "relative"}) == find_private_key(home)
    assert find_private_key(home | {"DDBUILD_SIGNING_KEY": "/k"}) == Path("/k")
    assert find_private_key({}) is None


def test_private_key_is_in_no_file_of_the_cache(team):
    publish(team.machine("a", key="ada"), KEY, "one", deep_key=DEEP)
    lines = (team.folder / "keys" / "ada").read_bytes().splitlines()[1:-1]
    for path in [*(team.folder / "team").rglob("*"), *(team.folder / "a").rglob("*")]:
        assert not path.is_file() or not any(line in path.read_bytes() for line in lines)


# Settings


def load(root, text):
    (root / "ddbuild.toml").write_text(text)
    return Settings.load(root, None, {"HOME": str(root)})


def test_settings_make_the_tiers(team, tmp_path):
    text = f'[cache]\nshared = "{tmp_path}/team"\ntrust = "signed"\ntrusted_keys = ["{team.keys["ada"]}"]\n'
    local, shared = open_tiers(load(tmp_path, text))
    assert local.trust is None
    assert shared.trust.trusted_keys == {team.keys["ada"]}
    assert open_tiers(load(tmp_path, "[cache]\n"))[1] is None
    assert open_tiers(load(tmp_path, '[cache]\nshared = "team"\n'))[1].trust is None


def test_shared_folder_is_not_looked_at_before_somebody_waits_for_it_with_patience(tmp_path):
    (tmp_path / "link").symlink_to("elsewhere")
    _, shared = open_tiers(load(tmp_path, "[cache]\n"), shared_cache=tmp_path / "link")
    assert shared.folder == tmp_path / "link"


def test_signatures_without_a_trusted_key_are_a_mistake(tmp_path):
    with pytest.raises(GraphError, match="needs `trusted_keys`"):
        open_tiers(load(tmp_path, '[cache]\nshared = "team"\ntrust = "signed"\n'))


@pytest.mark.parametrize("value", ['["ed25519:short"]', '["ssh-ed25519 AAAA"]', '"ed25519:x"', "[1]"])
def test_trusted_key_that_is_none_is_told(tmp_path, value):
    with pytest.raises(GraphError, match="trusted_keys` must be a list of public keys as `ddbuild keygen` prints them"):
        load(tmp_path, f"[cache]\ntrusted_keys = {value}\n")


def test_cryptography_is_imported_only_where_something_is_signed():
    code = "import sys, ddbuild.building.tiers; sys.exit('cryptography' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], env={**os.environ}, timeout=60).returncode == 0
