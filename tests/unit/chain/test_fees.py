"""The fee waiver's lanes: every boundary, and what no order of transactions can break."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cybermiles.chain.fees import Lane, LaneBook, decimal, price_needed
from cybermiles.chain.params import ChainParams
from cybermiles.errors import InvalidTransaction, NotIncludable, Underpriced
from cybermiles.types.primitives import GWEI
from tests.factories import ADDRESSES, KEYS, PAID, sign

PARAMS = ChainParams()


def lane(tx, book=None):
    """The lane as a word, or the name of the error."""
    try:
        decision = (book or LaneBook(PARAMS)).assign(tx)
    except InvalidTransaction as error:
        return type(error).__name__
    return decision.lane.name, decision.gas_price


def include(book, tx, gas_used=21_000, compute_units=40):
    decision = book.assign(tx)
    book.record(tx, decision, gas_used=gas_used, compute_units=compute_units)
    return decision


@pytest.mark.parametrize(
    ("gas", "price", "expected"),
    [
        (499_999, 0, ("FREE", 0)),
        (500_000, 0, ("FREE", 0)),
        (500_001, 0, "Underpriced"),
        (500_000, 1, ("FREE", 0)),
        (500_000, PAID, ("FREE", 0)),
        (500_000, 100 * PAID, ("FREE", 0)),
        (500_001, PAID - 1, "Underpriced"),
        (500_001, PAID, ("PAID", PAID)),
        (500_001, PAID + 1, ("PAID", PAID + 1)),
    ],
)
def test_the_lane_of_the_first_transaction_follows_gas_limit_and_price(gas, price, expected):
    assert lane(sign(KEYS[0], 0, gas=gas, price=price)) == expected


def test_the_price_of_a_dynamic_fee_transaction_is_its_tip_because_the_base_fee_is_zero():
    assert lane(sign(KEYS[0], 0, gas=600_000, price=50 * PAID, tip=PAID)) == ("PAID", PAID)
    assert lane(sign(KEYS[0], 0, gas=600_000, price=50 * PAID, tip=PAID - 1)) == "Underpriced"


@pytest.mark.parametrize(("taken", "expected"), [(98, "FREE"), (99, "FREE"), (100, None)])
def test_the_block_has_exactly_a_hundred_free_slots(taken, expected):
    book = LaneBook(PARAMS)
    for key in KEYS[:taken]:
        assert include(book, sign(key, 0)).lane is Lane.FREE
    newcomer = sign(KEYS[taken], 0)
    assert lane(newcomer, book) == ((expected, 0) if expected else "NotIncludable")
    assert lane(sign(KEYS[taken], 0, price=PAID), book) == ((expected, 0) if expected else ("PAID", PAID))


def test_a_repeated_pair_or_sender_is_not_free_again_in_the_block():
    book = LaneBook(PARAMS)
    include(book, sign(KEYS[0], 0, to=ADDRESSES[1]))
    assert lane(sign(KEYS[0], 1, to=ADDRESSES[1]), book) == "NotIncludable"
    assert lane(sign(KEYS[0], 1, to=ADDRESSES[2]), book) == "NotIncludable"
    assert lane(sign(KEYS[0], 1, to=ADDRESSES[1], price=PAID), book) == ("PAID", PAID)
    assert lane(sign(KEYS[2], 0, to=ADDRESSES[1]), book) == ("FREE", 0)
    assert lane(sign(KEYS[0], 1, to=ADDRESSES[1]), LaneBook(PARAMS)) == ("FREE", 0)


def test_contract_creations_have_one_free_slot_per_sender_too():
    book = LaneBook(PARAMS)
    include(book, sign(KEYS[0], 0, to=None, gas=500_000))
    assert lane(sign(KEYS[0], 1, to=None, gas=500_000), book) == "NotIncludable"
    assert lane(sign(KEYS[1], 0, to=None, gas=500_000), book) == ("FREE", 0)


def test_asking_for_a_lane_reserves_nothing():
    book = LaneBook(ChainParams(free_slots_per_block=1))
    for key in KEYS[:3]:
        assert lane(sign(key, 0), book) == ("FREE", 0)
    assert book.free_gas == book.compute_units == 0


def test_a_free_lane_may_be_closed():
    book = LaneBook(ChainParams(free_slots_per_block=0))
    assert lane(sign(KEYS[0], 0), book) == "NotIncludable"
    assert lane(sign(KEYS[0], 0, price=PAID), book) == ("PAID", PAID)


def test_a_free_transaction_with_less_than_its_budget_left_in_the_block_is_told_so():
    book = LaneBook(PARAMS)
    free, block = PARAMS.free_compute_units_per_transaction, PARAMS.compute_units_per_block
    include(book, sign(KEYS[0], 0, gas=600_000, price=PAID), compute_units=block - free + 1)
    decision = book.assign(sign(KEYS[1], 0))
    assert (decision.lane, decision.compute_units, decision.cut_by_block) == (Lane.FREE, free - 1, True)


def test_a_budget_that_just_fits_is_not_cut():
    book = LaneBook(PARAMS)
    rest = PARAMS.compute_units_per_block - PARAMS.free_compute_units_per_transaction
    include(book, sign(KEYS[0], 0, gas=600_000, price=PAID), compute_units=rest)
    decision = book.assign(sign(KEYS[1], 0))
    assert (decision.compute_units, decision.cut_by_block) == (PARAMS.free_compute_units_per_transaction, False)
    book = LaneBook(PARAMS)
    rest = PARAMS.compute_units_per_block - PARAMS.compute_units_per_transaction
    include(book, sign(KEYS[0], 0, gas=600_000, price=PAID), compute_units=rest)
    decision = book.assign(sign(KEYS[1], 0, gas=600_000, price=PAID))
    assert (decision.compute_units, decision.cut_by_block) == (PARAMS.compute_units_per_transaction, False)


def test_a_paid_transaction_takes_no_free_slot_of_its_sender():
    book = LaneBook(PARAMS)
    assert include(book, sign(KEYS[0], 0, gas=600_000, price=PAID)).lane is Lane.PAID
    assert lane(sign(KEYS[0], 1), book) == ("FREE", 0)


def test_the_sum_of_free_gas_limits_is_bounded():
    book = LaneBook(PARAMS)
    for key in KEYS[:39]:
        include(book, sign(key, 0, gas=500_000))
    assert lane(sign(KEYS[39], 0, gas=500_000), book) == ("FREE", 0)
    include(book, sign(KEYS[39], 0, gas=499_999))
    assert lane(sign(KEYS[40], 0, gas=21_000), book) == "NotIncludable"
    assert book.free_gas == 40 * 500_000 - 1


def test_the_free_share_of_compute_units_is_reserved_before_running():
    book = LaneBook(PARAMS)
    share, budget = PARAMS.free_compute_units_per_block, PARAMS.free_compute_units_per_transaction
    assert include(book, sign(KEYS[0], 0), compute_units=share - budget).compute_units == budget
    assert lane(sign(KEYS[1], 0), book) == ("FREE", 0)
    include(book, sign(KEYS[1], 0), compute_units=1)
    assert lane(sign(KEYS[2], 0), book) == "NotIncludable"
    assert lane(sign(KEYS[2], 0, price=PAID), book) == ("PAID", PAID)


def test_the_budget_of_a_transaction_is_cut_where_the_block_is_nearly_used_up():
    book = LaneBook(PARAMS)
    whole = book.assign(sign(KEYS[0], 0, gas=600_000, price=PAID))
    assert (whole.compute_units, whole.cut_by_block) == (800_000, False)
    include(book, sign(KEYS[0], 0, gas=600_000, price=PAID), compute_units=400_001)
    cut = book.assign(sign(KEYS[1], 0, gas=600_000, price=PAID))
    assert (cut.compute_units, cut.cut_by_block) == (799_999, True)
    include(book, sign(KEYS[1], 0, gas=600_000, price=PAID), compute_units=799_999)
    assert lane(sign(KEYS[2], 0, gas=600_000, price=PAID), book) == "NotIncludable"


def test_the_block_gas_limit_counts_gas_used_and_asks_for_the_limit():
    book = LaneBook(ChainParams(block_gas_limit=2**24))
    include(book, sign(KEYS[0], 0, gas=2**24, price=PAID), gas_used=2**24 - 21_000)
    assert lane(sign(KEYS[1], 0, gas=21_000), book) == ("FREE", 0)
    assert lane(sign(KEYS[1], 0, gas=21_001), book) == "NotIncludable"


def test_the_refusal_says_what_price_is_needed():
    with pytest.raises(Underpriced) as caught:
        LaneBook(PARAMS).assign(sign(KEYS[0], 0, gas=812_345))
    assert str(caught.value) == (
        "gas limit 812345 is over the free limit 500000: set a gas price of at least 2 gwei "
        "(0.0017 CMT for this transaction)"
    )
    odd = ChainParams(min_gas_price=1_500_000_001)
    assert "at least 1.500000001 gwei (0.0016 CMT" in price_needed(1_000_000, odd)


@pytest.mark.parametrize(
    ("amount", "unit", "text"),
    [
        (10**27 + 1, 10**18, "1000000000.000000000000000001"),
        (2**256, 1, str(2**256)),
        (0, GWEI, "0"),
        (1, 10**18, "0.000000000000000001"),
        (10**18, 10**18, "1"),
        (15 * 10**17, 10**18, "1.5"),
    ],
)
def test_amounts_are_written_exactly(amount, unit, text):
    assert decimal(amount, unit) == text


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 30),
            st.integers(0, 5),
            st.sampled_from([21_000, 100_000, 500_000, 500_001, 2_000_000]),
            st.sampled_from([0, 1, PAID - 1, PAID, 3 * PAID]),
            st.integers(40, 100_000),
        ),
        max_size=150,
    )
)
def test_no_order_of_transactions_breaks_a_limit(offers):
    params = ChainParams(free_slots_per_block=12)
    book = LaneBook(params)
    free, units = [], 0
    for sender, to, gas, price, compute_units in offers:
        tx = sign(KEYS[sender], 0, to=ADDRESSES[to], gas=gas, price=price)
        try:
            decision = book.assign(tx)
        except (NotIncludable, Underpriced):
            continue
        used = min(compute_units, decision.compute_units)
        book.record(tx, decision, gas_used=gas, compute_units=used)
        units += used
        if decision.lane is Lane.FREE:
            free.append((tx, used))
            assert decision.gas_price == 0
        else:
            assert decision.gas_price >= params.min_gas_price
    senders = [tx.sender for tx, _ in free]
    assert len(senders) == len(set(senders)) <= params.free_slots_per_block
    assert sum(tx.gas_limit for tx, _ in free) <= params.free_gas_per_block
    assert sum(used for _, used in free) <= params.free_compute_units_per_block
    assert units <= params.compute_units_per_block
