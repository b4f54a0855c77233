"""The training text: Jane Austen's six novels, as the Debian package r-cran-janeaustenr ships them.

The package holds an R "lazy-load database": Rdata.rdx is an index from the name of a novel to
(offset, length) in Rdata.rdb, where each entry is a big-endian 4-byte size and a zlib stream of one
serialised R character vector (the lines of the novel).
"""

import re
import warnings
import zlib
from pathlib import Path

import rdata

DEFAULT_DATA_DIR = Path("/usr/lib/R/site-library/janeaustenr/data")
HELD_OUT_SHARE = 0.05  # at most this part of every novel, its last chapters, is not trained on

CHAPTER_HEADING = re.compile(r"chapter\s+([ivxlc]+|\d+)\.?", re.IGNORECASE)
DROPPED_LINE = re.compile(r"volume\s+[ivx]+|finis|the end", re.IGNORECASE)
END_OF_NOVEL = "A NOTE ON THE TEXT"  # an editor's remark, not Austen's


def read_novels(data_dir: Path) -> dict[str, list[str]]:
    """The lines of each novel, by name."""
    index = rdata.read_rds(data_dir / "Rdata.rdx")
    database = (data_dir / "Rdata.rdb").read_bytes()
    novels = {}
    for name, (offset, length) in sorted(index["variables"].items()):
        serialised = zlib.decompress(database[offset + 4 : offset + length])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "unknown file type: assumed RDS", which it is
            lines = rdata.conversion.convert(rdata.parser.parse_data(serialised))
        novels[str(name)] = [str(line) for line in lines]
    return novels


def split_chapters(lines: list[str]) -> list[str]:
    """The chapters of a novel, each as text with one paragraph a line, the heading first."""
    chapters: list[list[str]] = []
    paragraph: list[str] = []

    def end_paragraph() -> None:
        if paragraph and chapters:  # what precedes the first heading is front matter
            chapters[-1].append(" ".join(" ".join(paragraph).replace("_", "").split()))
        paragraph.clear()

    for line in map(str.strip, lines):
        if line == END_OF_NOVEL:
            break
        if CHAPTER_HEADING.fullmatch(line):
            end_paragraph()
            chapters.append([line])
        elif not line or DROPPED_LINE.fullmatch(line):
            end_paragraph()
        else:
            paragraph.append(line)
    end_paragraph()
    return ["\n".join(chapter) for chapter in chapters]


def split_held_out(chapters: list[str]) -> tuple[list[str], list[str]]:
    """(training chapters, the last chapters): as many whole ones as fit in the share, at least one."""
    budget = HELD_OUT_SHARE * sum(map(len, chapters))
    first = len(chapters) - 1
    while sum(map(len, chapters[first - 1 :])) <= budget:
        first -= 1
    return chapters[:first], chapters[first:]


def load_corpus(data_dir: Path = DEFAULT_DATA_DIR) -> tuple[list[str], list[str]]:
    """(training chapters, held-out chapters)."""
    training, held_out = [], []
    for lines in read_novels(data_dir).values():
        seen, unseen = split_held_out(split_chapters(lines))
        training += seen
        held_out += unseen
    return training, held_out
