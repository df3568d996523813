"""The options check themselves, in the user's words."""

import pytest

from lipsync_core.errors import UsageError
from lipsync_core.options import GROUPS, LipSyncOptions, defaults, from_mapping, knobs


def test_the_defaults_are_allowed():
    assert LipSyncOptions().engine == "auto"


def test_every_option_has_words_and_a_place_for_every_user_interface():
    for name, knob in knobs().items():
        assert knob.label, name
        assert knob.help.endswith("."), name
        assert knob.group in GROUPS, name


def test_every_number_has_a_range_that_its_default_lies_in():
    for name, value in defaults().items():
        knob = knobs()[name]
        if isinstance(value, bool) or not isinstance(value, int | float):
            continue
        assert knob.low is not None, name
        assert knob.high is not None, name
        assert knob.low <= value <= knob.high, name
        assert knob.step, name


def test_labels_are_unique_so_that_an_error_names_one_widget():
    labels = [knob.label for knob in knobs().values()]
    assert len(set(labels)) == len(labels)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"crf": 99}, r"Quality \(crf\) is 99. It must lie between 0 and 51"),
        ({"mask": "nose"}, "Mask is 'nose'. It must be one of auto, mouth"),
        ({"strength": "loud"}, "Lip strength is 'loud'"),
        ({"batch_size": True}, "Batch size is True"),
        ({"batch_size": 2.5}, "Batch size is 2.5"),
        ({"detector": "box"}, "no box is given"),
        ({"mask": "user"}, "no mask file is given"),
        ({"box": "10,10,5,20"}, "is empty"),
        ({"box": "10,10"}, "takes 4 numbers"),
        ({"which_face": "point"}, "takes 2 numbers"),
        ({"crop": "a,b,c,d"}, "takes 4 numbers"),
        ({"rotate": 45}, "must be 0, 90, 180 or 270"),
        ({"fps": "fast"}, "not a frame rate"),
        ({"speech_start": 3.0, "speech_end": 2.0}, "must lie after"),
        ({"strength": float("nan")}, "Lip strength is nan"),
    ],
)
def test_a_value_that_cannot_work_is_refused_by_label_and_value(values, words):
    with pytest.raises(UsageError, match=words):
        LipSyncOptions(**values)


def test_a_whole_number_is_fine_where_a_float_is_meant():
    assert LipSyncOptions(strength=2).strength == 2


def test_an_unknown_option_is_refused():
    with pytest.raises(UsageError, match="no option 'sharpness'"):
        from_mapping({"sharpness": 1})


def test_options_come_from_names_and_values():
    assert from_mapping({"crf": 20}) == LipSyncOptions(crf=20)
