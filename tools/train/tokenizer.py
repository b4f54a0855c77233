"""A SentencePiece BPE tokenizer with byte fallback, with the conventions of Llama 2."""

import io

import sentencepiece

UNK, BOS, EOS = 0, 1, 2
VOCABULARY = 2048


def train_tokenizer(chapters: list[str]) -> bytes:
    """A serialised SentencePiece model. A paragraph is a training sentence, so that newlines are
    never part of a piece and are encoded by the byte token <0x0A>."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=(line for chapter in chapters for line in chapter.split("\n")),
        model_writer=model,
        model_type="bpe",
        vocab_size=VOCABULARY,
        character_coverage=1.0,
        byte_fallback=True,
        normalization_rule_name="identity",
        add_dummy_prefix=True,
        remove_extra_whitespaces=False,
        allow_whitespace_only_pieces=True,
        split_digits=True,
        max_sentence_length=1 << 20,
        num_threads=1,
        unk_id=UNK,
        bos_id=BOS,
        eos_id=EOS,
        pad_id=-1,
        minloglevel=1,
    )
    return model.getvalue()


def load_tokenizer(serialised: bytes) -> sentencepiece.SentencePieceProcessor:
    return sentencepiece.SentencePieceProcessor(model_proto=serialised)


SAMPLE_TEXTS = [
    "",
    " ",
    "   ",
    "\n",
    "a",
    "Hello, world!",
    "It is a truth universally acknowledged, that a single man in possession of a good fortune,"
    " must be in want of a wife.",
    " leading space",
    "  two leading spaces",
    "trailing space ",
    "trailing spaces   ",
    "double  spaces   and  more    between",
    "line one\nline two",
    "paragraph one\n\nparagraph two\n",
    "\ttab\tseparated",
    "carriage\r\nreturn",
    "Mr. Darcy--Mrs. Bennet--\"Miss Bingley!\"",
    "1813, 42, 3.14159 and 1000000",
    "£10,000 a year (or so) & more; 50% @ #1",
    "na\u00efve caf\u00e9 \u2014 \u00c9lys\u00e9e, \u00dcber, \u00f1and\u00fa",
    "e\u0301 combining accent",
    "\u041f\u0440\u0438\u0432\u0435\u0442, \u043c\u0438\u0440",
    "\u4f60\u597d\uff0c\u4e16\u754c",
    "\u3053\u3093\u306b\u3061\u306f \uc548\ub155\ud558\uc138\uc694",
    "\U0001f600 smile \U0001f44d\U0001f3fd \U0001f468\u200d\U0001f469\u200d\U0001f467",
    "\u0645\u0631\u062d\u0628\u0627 \u05e9\u05dc\u05d5\u05dd",
    "<s> </s> <unk> <0x0A>",
    "\u2581 meta symbol \u2581\u2581",
    "supercalifragilisticexpialidocious ZZZZZZ qqqqq",
    "def f(x): return {\"a\": [x ** 2, x | 1]}  # code",
    "nul\u0001control\u007f",
    "\u201ccurly\u201d \u2018quotes\u2019\u2026",
]
