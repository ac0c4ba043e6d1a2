from msgspec.structs import replace

from pinnace.api.memo import SEEN, changed_spec, spec_key
from tests.unit.api.builders import pod


def test_equal_specs_have_one_key_however_often_and_whatever_was_asked_in_between() -> None:
    one, same, other = (pod(name, image=image).spec for name, image in (("a", "x"), ("b", "x"), ("a", "y")))
    first = spec_key(one)
    for number in range(2 * SEEN):  # more than are remembered
        spec_key(pod(image=f"image:{number}").spec)
    assert spec_key(same) == spec_key(one) == first != spec_key(other)


def test_equal_changes_of_equal_specs_are_one_object_and_others_are_not() -> None:
    one, same = pod("a").spec, pod("b").spec
    changed = changed_spec(one, priority=7, priority_class_name="high")
    assert changed == replace(one, priority=7, priority_class_name="high")
    assert changed_spec(same, priority=7, priority_class_name="high") is changed
    assert changed_spec(one, priority=8, priority_class_name="high").priority == 8
    assert one.priority is None  # which is what it was
