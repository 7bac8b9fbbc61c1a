"""Documents are cut out of a stream wherever it is cut."""

import orjson
from hypothesis import given
from hypothesis import strategies as st

from cybermiles.rpc.json_stream import JsonSplitter

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
DOCUMENTS = st.lists(st.lists(VALUES, max_size=4) | st.dictionaries(st.text(), VALUES, max_size=4), max_size=4)


def fed(*parts):
    splitter = JsonSplitter()
    return [document for part in parts for document in splitter.feed(part)], splitter.kept_bytes


@given(DOCUMENTS, st.sampled_from([b"", b"\n", b"\r\n", b" "]), st.lists(st.integers(1, 40), max_size=20))
def test_documents_come_out_as_they_went_in_however_the_stream_is_cut(documents, between, cuts):
    encoded = [orjson.dumps(document) for document in documents]
    stream = b"".join(text + between for text in encoded)
    parts = []
    for cut in cuts:
        parts.append(stream[:cut])
        stream = stream[cut:]
    found, kept = fed(*parts, stream)
    assert [orjson.loads(text) for text in found] == documents
    assert kept <= len(between)


def test_brackets_and_escapes_in_strings_are_no_structure():
    text = rb'{"a":"]}\"\\","b":["\\\\"]}'
    assert fed(text, text) == ([text, text], 0)
    assert fed(*(text[i : i + 1] for i in range(len(text)))) == ([text], 0)


def test_what_is_no_document_ends_with_its_line_and_more_brackets_closed_than_opened_are_no_trouble():
    assert fed(b"hello\n\n[1]") == ([b"hello", b"[1]"], 0)
    assert fed(b"]}[1]") == ([b"]", b"}", b"[1]"], 0)


def test_an_unfinished_document_is_kept_and_counted():
    assert fed(b'{"a":', b'"never closed\n\n') == ([], 20)
