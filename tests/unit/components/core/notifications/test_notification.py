"""What a notification says."""

from headstart.components.core.notifications.notification import FAILED, PUBLISHED, Notification


def test_text_is_for_people_and_the_rest_for_programs() -> None:
    body = Notification(
        PUBLISHED,
        "transfer-learning",
        "17",
        "weekly",
        images=1200,
        accuracy=0.95,
        accuracy_interval=(0.9, 0.98),
        model="gs://bucket/models/1",
        see="headstart follow 17",
    ).body()
    assert body["text"].splitlines() == [
        "Headstart transfer-learning weekly (17) succeeded, and its model is in use now",
        "accuracy 0.950 (0.900 to 0.980, 95 % interval) on 1,200 images",
        "in use gs://bucket/models/1",
        "see headstart follow 17",
    ]
    assert set(body) == {"text", "headstart"}
    ours = body["headstart"]
    assert (ours["format"], ours["result"]) == ("headstart-notification/1", "published")
    assert (ours["accuracy"], ours["accuracy_interval"], ours["images"]) == (0.95, [0.9, 0.98], 1200)


def test_names_of_users_mention_nobody() -> None:
    body = Notification(FAILED, "transfer-learning", "17", reason="class '<!channel>' & \u202e has no image").body()
    assert body["text"].splitlines()[1] == "class '&lt;!channel&gt;' &amp; \\u202e has no image"


def test_text_is_short() -> None:
    text = Notification(FAILED, "transfer-learning", "17", reason="cat" * 10_000).body()["text"]
    assert len(text) < 2000
    assert text.endswith("…")
