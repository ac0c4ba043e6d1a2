"""What the demo decides without a machine: claims and the exit code, sizes, its recorded picture, the manifests."""

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

from examples.demo.building import read_stage_sizes
from examples.demo.picture import Chunk, Line, read_lines, render_svg, shorten_pauses
from examples.demo.report import Report

EXAMPLE = Path(__file__).resolve().parents[3] / "examples" / "inference"


def test_the_demo_succeeds_only_if_every_claim_holds(capsys: pytest.CaptureFixture[str]) -> None:
    report = Report(styled=False)
    report.section("Work")
    assert report.claim("one holds", True)
    assert report.end() == 0
    assert not report.claim("another does not", False)
    assert report.end() == 1
    assert "1 of 2 claims did not hold:\n   ✗ another does not\n" in capsys.readouterr().out


def test_sizes_are_read_from_the_summary_of_a_build() -> None:
    text = (
        "#12 DONE 0.3s\nstage builder: 1.02GB in 8 layers\nstage runtime: 194MB in 5 layers\nbuilt sha256:…\n"
    )
    assert read_stage_sizes(text) == {"builder": 1.02e9, "runtime": 194e6}


def test_a_recording_becomes_lines_with_styles_and_long_ones_are_folded() -> None:
    chunks = [Chunk(1.0, "\x1b[1;36m1. Sta"), Chunk(1.5, "rt\x1b[0m\r\nabcdefgh\n")]
    assert read_lines(chunks, columns=6) == [
        Line(1.5, (("b c", "1. Sta"),)),
        Line(1.5, (("b c", "rt"),)),
        Line(1.5, (("", "abcdef"),)),
        Line(1.5, (("", "gh"),)),
    ]


def test_pauses_are_shortened_and_short_ones_keep_their_share() -> None:
    lines = [Line(at, ()) for at in (0.0, 4.0, 100.0)]
    assert [line.at_s for line in shorten_pauses(lines, longest_s=2.0, speed=4.0)] == [0.0, 1.0, 3.0]


def test_the_picture_is_well_formed_and_stands_at_its_end() -> None:
    lines = [Line(float(number), (("g", f"line <{number}> & more"),)) for number in range(5)]
    root = ElementTree.fromstring(render_svg(lines, "a run", rows=3))
    spans = [element.text for element in root.iter("{http://www.w3.org/2000/svg}tspan")]
    assert spans == [f"line <{number}> & more" for number in range(5)]
    style = root.find("{http://www.w3.org/2000/svg}style")
    assert style is not None and style.text is not None
    assert ".lines { transform: translateY(-36px)" in style.text  # 5 lines of 18 px in a window of 3


def test_the_examples_manifest_is_pattern_1_with_smaller_requests() -> None:
    ours, reference = (
        list(yaml.safe_load_all((EXAMPLE / name).read_text())) for name in ("service.yaml", "pattern1.yaml")
    )
    pod = ours[0]["spec"]["template"]["spec"]
    del (
        pod["terminationGracePeriodSeconds"],
        pod["containers"][0]["readinessProbe"],
        ours[2]["spec"]["behavior"],
    )
    pod["containers"][0]["resources"] = reference[0]["spec"]["template"]["spec"]["containers"][0]["resources"]
    assert ours == reference


def test_no_package_host_is_named_in_the_dockerfile() -> None:
    assert not re.search(r"https?://|index-url", (EXAMPLE / "Dockerfile").read_text())
