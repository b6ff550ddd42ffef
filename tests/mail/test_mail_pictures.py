"""The pictures of messages in the documentation show the messages as they are now."""

import pytest

from store.mail_queue import KINDS
from tests.pages import ROOT
from tools import mail_pictures


@pytest.mark.parametrize("mode", mail_pictures.MODES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_picture_was_taken_of_the_present_message(kind, mode):
    """If this fails: `make mail-pictures`."""
    picture = mail_pictures.picture_of(kind, mode)
    assert mail_pictures.recorded(picture) == mail_pictures.digest(kind)


def test_every_picture_is_shown():
    page = (ROOT / "docs/mail.md").read_text()
    pictures = [each.name for each in mail_pictures.PICTURES.iterdir()]
    assert len(pictures) == len(KINDS) * len(mail_pictures.MODES)
    assert [each for each in pictures if f"(images/mail/{each})" not in page] == []
