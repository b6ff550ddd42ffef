from store.recent import Recent


def test_the_values_that_were_added_last_are_remembered():
    recent: Recent[int, str] = Recent(3)
    for number in range(20):
        recent.add(number, str(number))
        assert [recent.get(last) for last in range(max(0, number - 2), number + 1)] == [
            str(last) for last in range(max(0, number - 2), number + 1)
        ]
        assert len(recent) <= 6


def test_what_was_not_added_or_is_forgotten_is_none():
    recent: Recent[int, str] = Recent(3)
    assert recent.get(0) is None
    for number in range(7):
        recent.add(number, str(number))
    assert recent.get(0) is None


def test_a_value_that_is_added_again_replaces_the_one_before():
    recent: Recent[int, str] = Recent(3)
    recent.add(0, "old")
    for number in (1, 2):
        recent.add(number, "other")
    recent.add(0, "new")
    assert recent.get(0) == "new"


def test_a_key_that_is_forgotten_is_unknown_and_can_be_added_again():
    recent: Recent[int, str] = Recent(2)
    for number in range(4):
        recent.add(number, "value")
    for number in (1, 3, 7):  # of the time before, of late, of never
        recent.forget(number)
        assert recent.get(number) is None
    recent.add(1, "again")
    assert recent.get(1) == "again"
    assert recent.get(2) == "value"
