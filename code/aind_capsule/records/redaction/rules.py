"""Shapes of text that are secrets, whoever wrote them: a table of rules.

A rule's expression is tried only where one of its literals stands (`redactor`), and no repetition
in it is without a bound: the work is in proportion to the text. A new shape is one row here.
Sources of the formats: the vendors' own documentation of their tokens, RFC 6750 (Bearer), RFC 7617
(Basic), RFC 7468 and RFC 4253 (private key blocks), RFC 7519 (JWT), RFC 3986 (user information in
URLs), curl(1), netrc(5), docker-login(1), mysql(1), sshpass(1), openssl-passphrase-options(1).
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator

from aind_capsule.frozen import frozen
from aind_capsule.records.redaction import guards

Span = tuple[int, int]
Guard = Callable[[bytes, re.Match[bytes]], bool]


@frozen
class Rule:
    """One shape.

    Attributes:
        name: What it is, for the documentation.
        form: How it looks, for the documentation.
        literals: In lower case; a match begins where one of them stands.
        expression: Matched at the literal. What is replaced is its group `secret` where it has
            one, else all of it.
        accepts: A closer look at the secret, with the match.
        find_in: Where the secrets are in a match, if it takes more than a group to tell.
        behind: What must stand before the literal, beside the border.
        is_bordered: Whether no letter or digit may stand before the literal.
    """

    name: str
    form: str
    literals: tuple[str, ...]
    expression: str
    accepts: Guard | None = None
    find_in: Callable[[re.Match[bytes]], Iterator[Span]] | None = None
    behind: str = ""
    is_bordered: bool = True

    def find_at(self, text: bytes, start: int) -> tuple[list[Span], int]:
        """Find the shape at a place.

        Args:
            text: The text.
            start: Where one of the literals stands in it.

        Returns:
            The secrets, and how far the text needs no other look by this rule.
        """
        if self.is_bordered and not _has_border(text, start):
            return [], start
        if self.behind and not compile_once(self.behind).search(text[max(0, start - 40) : start]):
            return [], start
        expression = compile_once(self.expression)
        match = expression.match(text, start)
        if match is None:
            return [], start
        if self.find_in is not None:
            return list(self.find_in(match)), match.end()
        group = "secret" if "secret" in expression.groupindex else 0
        if self.accepts is not None and not self.accepts(match[group], match):
            # What was no secret may hold the beginning of one: `Basic Basic dTpw`.
            return [], match.start(group) if group else match.end()
        return [match.span(group)], match.end()


@functools.cache
def compile_once(expression: str) -> re.Pattern[bytes]:
    """Compile when it is first needed: a run that starts has nothing to hide yet.

    Letters of any case are `(?i:…)`; a dot is any byte.
    """
    return re.compile(expression.encode(), re.DOTALL)


_ESCAPES = r"(?:\\[nrtbfv0]|\\u00[0-9A-Fa-f]{2}|\\x[0-9A-Fa-f]{2}|%[0-9A-Fa-f]{2}|[0-9;\[]m)\Z"


def _has_border(text: bytes, start: int) -> bool:
    """Return whether a token may begin here: behind no letter or digit, or behind an escape."""
    before = text[start - 1 : start]
    return (
        not before.isalnum()
        or compile_once(_ESCAPES).search(text[max(0, start - 6) : start]) is not None
    )


def _find_users(match: re.Match[bytes]) -> Iterator[Span]:
    """Yield user information of URLs in a text without white space, which begins with `://`.

    By the standard it ends before the first slash; people also write passwords with slashes in it.
    """
    start = match.start()
    for part in match[0].split(b"://")[1:]:
        start += len(b"://")
        authority = re.split(rb"[/?#]", part, maxsplit=1)[0]
        end = authority.rfind(b"@")
        has_password = re.match(rb"[^/:@]{0,200}:(?!\d{1,5}(?:[/?#']|$))", part)
        if has_password:  # a password, not a port
            end = part.rfind(b"@")
        is_image = part[end + 1 :].startswith(b"sha256:")  # of a container, by its digest
        user = part[: max(end, 0)]
        if user and not is_image and (b":" in user or guards.is_mixed(user)):
            yield start, start + end
        start += len(part)


def _find_key_block(match: re.Match[bytes]) -> Iterator[Span]:
    """Yield a private key's block, with the dashes before its first word."""
    begin = re.search(rb"-{4,5} ?\Z", match.string[max(0, match.start() - 8) : match.start()])
    if begin is not None:
        yield match.start() - len(begin[0]), match.end()


def _find_aws_keys(match: re.Match[bytes]) -> Iterator[Span]:
    """Yield an access key's id, and secret keys that stand near it."""
    if not guards.is_no_peptide(match[0]):
        return
    yield match.span()
    text, near = match.string, compile_once(_AWS_SECRET)
    first = max(0, match.start() - _AWS_NEAR_BYTES)
    for key in near.finditer(text, first, match.end() + _AWS_NEAR_BYTES):
        if guards.is_mixed_case(key[0]):
            yield key.span()


_AWS_SECRET = r"(?<![A-Za-z0-9/+])[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+])"
_AWS_NEAR_BYTES = 400

#: A secret without an end of its own goes on for at most this many bytes: a whole line's.
_LONG = 1048576
#: What may stand between such a word and the secret.
_GAP = r"(?:\s|%20|\+|:){1,8}"
_EQUALS = r"(?:=|%3[Dd]|\\u003[dD])"

PRIVATE_KEY = "private key"
KEY_BEGINS = r"-{4,5} ?BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)? ?-{4,5}"
KEY_ENDS = r"-{4,5} ?END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)? ?-{4,5}"

_MANY = (
    ("Databricks", "dapi", r"dapi[a-f0-9]{32}(?:-\d)?"),
    ("DigitalOcean", "doo_v1_ dop_v1_ dor_v1_", r"do[opr]_v1_[a-f0-9]{64}"),
    ("Grafana", "glsa_", r"glsa_[A-Za-z0-9]{32}_[A-Fa-f0-9]{8}"),
    ("Grafana Cloud", "glc_", r"glc_[A-Za-z0-9+/=]{32,400}"),
    ("Vault", "hvs. hvb.", r"hv[sb]\.[A-Za-z0-9_\-]{24,300}"),
    ("Groq", "gsk_", r"gsk_[A-Za-z0-9]{40,64}"),
    ("xAI", "xai-", r"xai-[A-Za-z0-9]{60,100}"),
    ("Replicate", "r8_", r"r8_[A-Za-z0-9]{37}"),
    ("Notion", "ntn_", r"ntn_[A-Za-z0-9]{40,60}"),
    ("Linear", "lin_api_", r"lin_api_[A-Za-z0-9]{40}"),
    ("Shopify", "shpat_ shpca_ shppa_ shpss_", r"shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}"),
    ("Sentry", "sntrys_ sntryu_", r"sntry[su]_[A-Za-z0-9+/=_]{40,500}"),
    ("Tailscale", "tskey-", r"tskey-[a-z]{2,20}-[A-Za-z0-9\-]{16,80}"),
    ("Postman", "pmak-", r"PMAK-[a-f0-9]{24}-[a-f0-9]{34}"),
    ("Pinecone", "pcsk_", r"pcsk_[A-Za-z0-9_]{40,100}"),
    ("Perplexity", "pplx-", r"pplx-[A-Za-z0-9]{40,64}"),
    ("Prefect", "pnu_ pnb_", r"pn[ub]_[A-Za-z0-9]{36}"),
    ("crates.io", "cio", r"cio[A-Za-z0-9]{32}"),
    ("RubyGems", "rubygems_", r"rubygems_[a-f0-9]{48}"),
    ("Pulumi", "pul-", r"pul-[a-f0-9]{40}"),
    ("age", "age-secret-key-1", r"AGE-SECRET-KEY-1[A-Z0-9]{58}"),
    ("Artifactory", "akcp8", r"AKCp8[A-Za-z0-9]{60,80}"),
    ("Artifactory", "cmvmdgtu", r"cmVmdGtu[A-Za-z0-9]{40,80}"),
    ("Bitbucket", "atbb", r"ATBB[A-Za-z0-9]{28,40}"),
)

RULES: tuple[Rule, ...] = (
    Rule(
        "user and password in a URL", "scheme://user:password@host", ("://",),
        r"""://[^\s"<>]{0,8192}""", find_in=_find_users, is_bordered=False,
    ),
    Rule(
        "AWS access key id, and the secret key within 400 bytes", "AKIA… ASIA… ABIA… ACCA…",
        ("akia", "asia", "abia", "acca"),
        r"(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}(?![A-Za-z0-9])", find_in=_find_aws_keys,
    ),
    Rule(
        "AWS session token", "IQoJb3JpZ2luX2Vj… FwoGZXIvYXdz…", ("iqojb3jpz2lux2vj", "fwogzxivyxdz"),
        r"(?:IQoJb3JpZ2luX2Vj|FwoGZXIvYXdz)[A-Za-z0-9/+=%]{60,4096}",
    ),
    Rule(
        "GitHub token", "ghp_… gho_… ghu_… ghs_… ghr_…", ("ghp_", "gho_", "ghu_", "ghs_", "ghr_"),
        r"gh[pousr]_[A-Za-z0-9_]{30,255}", guards.is_varied,
    ),
    Rule(
        "GitHub fine-grained token", "github_pat_…", ("github_pat_",),
        r"github_pat_[A-Za-z0-9_]{30,255}", guards.is_varied,
    ),
    Rule(
        "GitLab token", "glpat-… gldt-… glrt-… glcbt-… glptt-… glft-… glsoat-…",
        ("glpat-", "gldt-", "glrt-", "glcbt-", "glptt-", "glft-", "glsoat-", "gloas-", "glagent-", "glimt-", "glffct-"),
        r"gl(?:pat|dt|rt|cbt|ptt|ft|soat|oas|agent|imt|ffct)-[A-Za-z0-9_\-.]{20,300}", guards.is_varied,
    ),
    Rule("Google API key", "AIza…", ("aiza",), r"AIza[A-Za-z0-9_\-]{35}(?![A-Za-z0-9_\-])"),
    Rule(
        "Google OAuth", "ya29.… GOCSPX-… 1//0…", ("ya29.", "gocspx-", "1//0"),
        r"(?:ya29\.[A-Za-z0-9_\-.]{20,2048}|GOCSPX-[A-Za-z0-9_\-]{20,64}|1//0[A-Za-z0-9_\-]{30,512})",
        guards.is_varied,
    ),
    Rule(
        "Slack token", "xoxb-… xoxp-… xapp-…",
        ("xoxa-", "xoxb-", "xoxe-", "xoxe.", "xoxo-", "xoxp-", "xoxr-", "xoxs-", "xoxc-", "xoxd-", "xapp-"),
        r"(?:xoxe\.)?(?:xox[a-z]|xapp)-[A-Za-z0-9%.\-]{10,512}", guards.has_digit,
    ),
    Rule(
        "Slack webhook", "hooks.slack.com/services/…", ("hooks.slack.com",),
        r"""hooks\.slack\.com/(?:services|workflows|triggers)/(?P<secret>[^\s"'<>\\]{8,400})""",
    ),
    Rule(
        "Discord webhook", "discord.com/api/webhooks/ID/…", ("/api/webhooks/",),
        r"/api/webhooks/\d{5,30}/(?P<secret>[A-Za-z0-9_\-]{20,200})", is_bordered=False,
    ),
    Rule(
        "OpenAI, Anthropic and kin", "sk-proj-… sk-svcacct-… sk-ant-… sk-or-… sk-…", ("sk-",),
        r"(?<![-_])sk-(?:(?:proj|svcacct|admin|ant|or)-[A-Za-z0-9_\-]{20,400}|[A-Za-z0-9]{32,128}(?![A-Za-z0-9_\-]))",
        guards.has_letters_and_digits,
    ),
    Rule(
        "Stripe", "sk_live_… rk_live_… sk_test_… whsec_…",
        ("sk_live_", "rk_live_", "sk_test_", "rk_test_", "whsec_"),
        r"(?:[sr]k_(?:live|test)_[A-Za-z0-9]{16,255}|whsec_[A-Za-z0-9+/=]{24,128})", guards.is_varied,
    ),
    Rule(
        "Hugging Face", "hf_… api_org_…", ("hf_", "api_org_"),
        r"(?:hf|api_org)_[A-Za-z0-9]{30,64}(?![_A-Za-z0-9])", guards.is_varied,
    ),
    Rule("SendGrid", "SG.….…", ("sg.",), r"SG\.[A-Za-z0-9_\-]{16,32}\.[A-Za-z0-9_\-]{32,64}", guards.is_varied),
    Rule("npm", "npm_…", ("npm_",), r"npm_[A-Za-z0-9]{36}(?![A-Za-z0-9])", guards.is_varied),
    Rule("PyPI", "pypi-AgE…", ("pypi-age",), r"pypi-AgE[A-Za-z0-9_\-]{50,1000}"),
    Rule(
        "Docker Hub", "dckr_pat_… dckr_oat_…", ("dckr_pat_", "dckr_oat_"),
        r"dckr_[po]at_[A-Za-z0-9_\-]{20,128}", guards.is_varied,
    ),
    Rule("Code Ocean", "cop_…", ("cop_",), r"cop_[A-Za-z0-9]{20,128}(?![A-Za-z0-9])", guards.has_letters_and_digits),
    Rule(
        "Weights & Biases beside its name", "wandb login … wandb_v1_…", ("wandb",),
        r"(?i:wandb)(?:_v1_[A-Za-z0-9_]{40,128}"
        r"|[^\r\n]{0,80}?(?<![0-9A-Za-z])(?P<secret>[0-9a-f]{40})(?![A-Za-z0-9]))",
        guards.is_no_commit, is_bordered=False,
    ),
    *(
        Rule(name, " ".join(f"{literal}…" for literal in literals.split()), tuple(literals.split()),
             rf"{expression}(?![A-Za-z0-9])", guards.has_digit)
        for name, literals, expression in _MANY
    ),
    Rule(
        "Telegram bot", "123456789:AA…", (":aa",), r":AA[A-Za-z0-9_\-]{32,34}(?![A-Za-z0-9_\-])",
        guards.is_varied, behind=r"\d{8}\Z", is_bordered=False,
    ),
    Rule("Atlassian", "ATATT3…", ("atatt3",), r"ATATT3[A-Za-z0-9_\-=]{50,400}"),
    Rule("neptune", "eyJhcGlfYWRkcmVzcyI6…", ("eyjhcglfywrkcmvzcyi6",), r"eyJhcGlfYWRkcmVzcyI6[A-Za-z0-9+/=]{40,1000}"),
    Rule(
        "Azure shared access signature", "?sv=…&sig=…", ("sig=", "sig%3d"),
        rf"sig{_EQUALS}(?P<secret>[A-Za-z0-9%+/=_\-]{{32,200}})", behind=r"(?:[?&;]|%26|\\u0026)\Z", is_bordered=False,
    ),
    Rule(
        "Azure account key", "AccountKey=… SharedAccessKey=…", ("accountkey", "sharedaccesskey"),
        r"(?i:accountkey|sharedaccesskey)\s{0,2}=\s{0,2}(?P<secret>[A-Za-z0-9+/]{40,100}={0,2})", is_bordered=False,
    ),
    Rule(
        "Entra client secret", "abc8Q~…", ("8q~", "7q~"), r"[78]Q~[A-Za-z0-9_~.\-]{31,34}",
        behind=r"[A-Za-z0-9_~.\-]{3}\Z", is_bordered=False,
    ),
    Rule(
        "signed URL", "X-Amz-Signature=… X-Goog-Signature=… X-Amz-Security-Token=…",
        ("signature", "x-amz-security-token"),
        rf"(?i:signature|x-amz-security-token){_EQUALS}(?P<secret>[A-Za-z0-9%+/=_\-~]{{32,4096}})", is_bordered=False,
    ),
    Rule(
        "JSON web token", "eyJ….eyJ….…", ("eyj",),
        r"(?<![_\-.])eyJ[A-Za-z0-9_\-]{8,65536}\.[A-Za-z0-9_\-]{4,65536}(?:\.[A-Za-z0-9_\-]{0,65536}){0,3}",
    ),
    Rule(
        "Bearer token", "Bearer …", ("bearer",),
        rf"(?i:bearer){_GAP}(?P<secret>[A-Za-z0-9._~+/=\-]{{6,{_LONG}}})", guards.is_no_word, is_bordered=False,
    ),
    Rule(
        "Basic credentials", "Basic … (base64 of user:password)", ("basic",),
        rf"(?i:basic){_GAP}(?P<secret>[A-Za-z0-9+/_\-]{{4,{_LONG}}}={{0,2}})", guards.is_basic, is_bordered=False,
    ),
    Rule(
        "Authorization with another scheme", "Authorization: token … | ApiKey … | Bot … | Digest …", ("authorization",),
        r"""(?i:authorization)(?:=|%3[Dd]|\\u003[dD]|\\?["']?\s{0,2}[:=]\s{0,2}\\?["']?)"""
        r"(?i:token|apikey|api-key|bot|key|negotiate|splunk|genericsecret|aws4-hmac-sha256|digest)"
        r"""\s{1,8}(?P<secret>[^\r\n"'\\]{6,1048576})""", guards.is_no_phrase, is_bordered=False,
    ),
    Rule(
        "netrc", "machine HOST login USER password …", ("password", "passwd"),
        r"""(?i:passw(?:or)?d)[ \t]{1,8}(?P<secret>[^\s"']{3,200})""", guards.is_netrc,
    ),
    Rule(
        "user and password of a command", "curl -u USER:… --user USER:… --proxy-user USER:…",
        (" -u", "--user", "--proxy-user"),
        r"""(?: -u ?|--user[ =]|--proxy-user[ =])["']?[^\s:"']{1,100}:(?P<secret>[^\s"']{1,200})""",
        guards.is_users_password, is_bordered=False,
    ),
    Rule(
        "password of a command", "docker login -p … sshpass -p … mysql -p… zip -P … openssl -passin pass:…",
        (" -p", " -a ", " pass:", "'pass:", '"pass:'),
        r"""(?: -[pP] ?| -a |[ '"]pass:)["']?(?P<secret>[^\s"'\-/][^\s"']{0,200})""",
        guards.is_commands_password, is_bordered=False,
    ),
    Rule(
        "npmrc", "//HOST/:_authToken=… :_auth=… :_password=…", (":_auth", ":_password"),
        r":_(?:authToken|auth|password)\s{0,2}=\s{0,2}(?P<secret>[^\s]{4,4096})", guards.is_no_word, is_bordered=False,
    ),
    Rule(
        "kubeconfig", "client-key-data: …", ("client-key-data",),
        r"""client-key-data\\?["']?:\s{0,4}\\?["']?(?P<secret>[A-Za-z0-9+/=]{16,65536})""",
    ),
    Rule(
        "session cookie", "sessionid=… JSESSIONID=… PHPSESSID=… connect.sid=… _x_session=…",
        ("sessionid", "phpsessid", "connect.sid", "_session="),
        rf"(?i:sessionid|phpsessid|connect\.sid|_session){_EQUALS}(?P<secret>[A-Za-z0-9%._+/\-]{{16,512}})",
        guards.has_letters_and_digits, is_bordered=False,
    ),
    Rule(
        "PuTTY private key", "Private-Lines: N and the lines behind it", ("private-lines:",),
        r"Private-Lines:[ \t]{0,8}\d{1,4}(?:\r?\n|\\r\\n|\\n)"
        r"(?P<secret>(?:[A-Za-z0-9+/=]{1,76}(?:\r?\n|\\r\\n|\\n|\Z)){1,400})",
    ),
    Rule(
        "private key block", "-----BEGIN … PRIVATE KEY-----", ("begin ",),
        rf"BEGIN [A-Z0-9 ]{{0,40}}PRIVATE KEY(?: BLOCK)? ?-{{4,5}}.*?(?:{KEY_ENDS}|\Z)",
        find_in=_find_key_block, is_bordered=False,
    ),
)  # fmt: skip
