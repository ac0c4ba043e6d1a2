"""What --explain says of weights, and the hints of what could be smaller."""

from __future__ import annotations

import pytest

from pinnace.build.explain import (
    LayerWeight,
    StageLayers,
    find_busted_caches,
    render_report,
    summarize,
)
from pinnace.build.footprints import Footprint
from pinnace.build.plan import BuildOptions, plan_build
from pinnace.build.reasons import Outcome
from pinnace.build.steps import BuildPlan
from pinnace.build.weigh import Found, StageFacts, WeightFacts
from pinnace.build.words import render_bytes
from pinnace.dockerfile.parse import parse_dockerfile

NOTHING = WeightFacts(stages=(), kinds={}, files=(), folders=(), found=())


def stage(name: str, *layers: tuple[str, int], base: int = 1) -> StageLayers:
    weights = tuple(LayerWeight(text, size, number < base) for number, (text, size) in enumerate(layers))
    return StageLayers(name, "debian:12", weights)


BUILD = stage("build", ("", 300_000_000), ("RUN apt-get install gcc", 471_000_000))
IMAGE = stage("run", ("", 100_000_000), ("COPY --from=build /venv /venv", 88_000_000))


def plan(text: str) -> BuildPlan:
    return plan_build(parse_dockerfile(text), BuildOptions(), lambda name, platform: None)


def left(**kinds: int) -> WeightFacts:
    facts = StageFacts(name="build", left={name.replace("_", " "): size for name, size in kinds.items()})
    return WeightFacts(stages=(facts,), kinds={}, files=(), folders=(), found=())


@pytest.mark.parametrize(
    ("stages", "facts", "expected"),
    [
        (
            (BUILD, IMAGE),
            left(compilers=412_000_000, package_caches=9_000_000),
            "412 MB of compilers stay in the build stage; the image is 188 MB, 4.1 times smaller",  # 771 / 188 = 4.101
        ),
        (
            (stage("0", ("", 9_000_000)), stage("1", ("", 9_000_000))),
            WeightFacts(
                stages=(StageFacts(name="0", left={"programs": 5_000_000}),),
                kinds={},
                files=(),
                folders=(),
                found=(),
            ),
            "5 MB of programs stay in stage 0; the image is 9 MB",
        ),
        (
            (BUILD, IMAGE),
            left(other_files=90_000_000, compilers=1_000_000),
            "91 MB stay in the build stage; the image is 188 MB, 4.1 times smaller",
        ),
        ((BUILD, IMAGE), left(), "the image is 188 MB, 4.1 times smaller"),
        ((IMAGE, stage("x", ("", 188_000_000))), left(), ""),
        ((IMAGE,), left(), ""),
    ],
)
def test_sentence_of_what_stays_behind(
    stages: tuple[StageLayers, ...], facts: WeightFacts, expected: str
) -> None:
    assert summarize(stages, facts) == expected


def outcome(number: int, text: str, state: str) -> Outcome:
    return Outcome(Footprint(stage="run", number=number, text=text, key="", kind="RUN", fields={}), state)


def test_report_has_steps_weights_the_largest_and_hints() -> None:
    facts = WeightFacts(
        stages=left(compilers=412_000_000).stages,
        kinds={},
        files=(("venv/big.so", 50_000_000, 1), ("tiny", 10, 0)),
        folders=(("venv/lib", 80_000_000),),
        found=(
            Found(
                layer=1,
                kind="waste",
                what="pip's cache",
                size=20_000_000,
                remedy="pip install --no-cache-dir",
            ),
            Found(layer=1, kind="waste", what="apt's package lists", size=999, remedy="rm"),
        ),
        is_partial=True,
    )
    reasons = [(outcome(1, "COPY --from=build \\\n  /venv /venv", "done"), "this step is new")]
    assert list(render_report(reasons, (BUILD, IMAGE), facts, plan("FROM scratch\n"))) == [
        "steps:",
        "  done   [run 1] COPY --from=build /venv /venv",
        "         this step is new",
        "",
        "weights:",
        "  stage build: 771 MB in 2 layers",
        "      300 MB  debian:12 (1 layer)",
        "      471 MB  RUN apt-get install gcc",
        "  image run: 188 MB in 2 layers",
        "      100 MB  debian:12 (1 layer)",
        "       88 MB  COPY --from=build /venv /venv",
        "",
        "412 MB of compilers stay in the build stage; the image is 188 MB, 4.1 times smaller",
        "",
        "largest files of the image:",
        "       50 MB  /venv/big.so  (COPY --from=build /venv /venv)",
        "largest folders of the image:",
        "       80 MB  /venv/lib",
        "(there are too many files: not all were looked at)",
        "",
        "hints:",
        "  20 MB of pip's cache stay in the layer of COPY --from=build /venv /venv: pip install --no-cache-dir",
    ]


def test_failed_build_is_explained_without_weights() -> None:
    reasons = [(outcome(1, "RUN x", "failed"), "this step is new")]
    assert list(render_report(reasons, (), None, plan("FROM scratch\n"))) == [
        "steps:",
        "  failed [run 1] RUN x",
        "         this step is new",
    ]


CHOWNED = stage("run", ("", 100_000_000), ("COPY a /a", 9_000_000), ("RUN chown 5 /a", 9_000_000))


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (
            Found(layer=1, kind="replaced", what="", size=9_000_000, other=2),
            "9 MB of the layer of COPY a /a are written again by RUN chown 5 /a, and weigh twice: COPY --chown=…, or chown"
            " in the step that makes the files",
        ),
        (
            Found(layer=1, kind="removed", what="", size=9_000_000, other=2),
            "9 MB of the layer of COPY a /a are removed by RUN chown 5 /a, and still weigh: remove it in the step that makes it",
        ),
        (
            Found(layer=0, kind="removed", what="", size=9_000_000, other=2),
            "9 MB of the layer of the base debian:12 are removed by RUN chown 5 /a, and still weigh: take a smaller base image",
        ),
        (
            Found(layer=2, kind="alike", what="/b is /a", size=9_000_000, other=1),
            "9 MB are in the image twice: /b is /a (layers of RUN chown 5 /a and COPY a /a)",
        ),
    ],
)
def test_what_weighs_in_vain_is_told_with_the_way_out(found: Found, expected: str) -> None:
    facts = WeightFacts(stages=(), kinds={}, files=(), folders=(), found=(found,))
    assert render_report([], (CHOWNED,), facts, plan("FROM scratch\n"))[-1] == f"  {expected}"


def test_how_a_base_image_came_to_be_is_nobodys_fault_here() -> None:
    image = stage("run", ("a", 1), ("b", 1), base=2)
    found = Found(layer=0, kind="removed", what="", size=9_000_000, other=1)
    facts = WeightFacts(stages=(), kinds={}, files=(), folders=(), found=(found,))
    assert "hints:" not in render_report([], (image,), facts, plan("FROM scratch\n"))


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("COPY . .\nRUN pip install -r requirements.txt", "COPY requirements.txt first"),
        ("COPY . /app/\nWORKDIR /app\nRUN set -e; \\\n pip3 install --requirement req/prod.txt", "COPY req/prod.txt first"),
        ("ADD . /app\nRUN npm ci && npm run build", "COPY package.json and the lock file first"),
        ("COPY ./ /app\nRUN go mod download", "COPY go.mod go.sum first"),
        ("COPY . .\nRUN pip install .", "COPY pyproject.toml first"),
        ("COPY requirements.txt .\nRUN pip install -r requirements.txt\nCOPY . .\nRUN make", ""),
        ("COPY requirements.txt .\nRUN pip install -r requirements.txt\nCOPY . .\nRUN pip install -r requirements.txt", ""),
        ("COPY . .\nRUN make", ""),
        ("COPY . .\nRUN npm install -g x", ""),
        ("COPY src .\nRUN npm ci", ""),
    ],
)  # fmt: skip
def test_copy_of_everything_before_an_installation_is_told(body: str, words: str) -> None:
    hints = list(find_busted_caches(plan(f"FROM scratch\n{body}\n")))
    assert len(hints) == bool(words)
    assert all(words in hint and "(line " in hint for hint in hints)


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (188_200_000, "188 MB"), (999_600_000, "1 GB"), (1_214_000_000, "1.21 GB")],
)  # fmt: skip
def test_bytes_are_told_in_three_digits(size: int, text: str) -> None:
    assert render_bytes(size) == text


def test_compilers_in_the_image_are_told_with_the_way_out() -> None:
    image = stage("app", ("RUN apt-get install -y gcc", 400_000_000))
    kinds = {"compilers": 100_000_000, "headers and static libraries": 20_000_000, "programs": 280_000_000}
    facts = WeightFacts(stages=(), kinds=kinds, files=(), folders=(), found=())
    hint = render_report([], (image,), facts, plan("FROM scratch\n"))[-1]
    assert hint.startswith("  120 MB of compilers and headers and static libraries are in the image")
    assert "FROM … AS builder" in hint and "COPY --from=builder" in hint
    kinds = {"compilers": 30_000_000, "programs": 370_000_000}
    few = WeightFacts(stages=(), kinds=kinds, files=(), folders=(), found=())
    assert "hints:" not in render_report([], (image,), few, plan("FROM scratch\n"))
