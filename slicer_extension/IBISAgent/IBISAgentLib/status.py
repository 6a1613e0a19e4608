"""The status line: what is going on, for how long, and for how long still."""

from __future__ import annotations

from slicer.i18n import tr as _

from .story import Story


def duration(seconds: float) -> str:
    """Seconds in words that are short and no more exact than they can be."""
    whole = max(0, round(seconds))
    if whole < 60:
        return _("{seconds} s").format(seconds=whole)
    if whole < 3600:
        return _("{minutes} min {seconds:02d} s").format(minutes=whole // 60, seconds=whole % 60)
    return _("{hours} h {minutes:02d} min").format(hours=whole // 3600, minutes=whole % 3600 // 60)


def working(story: Story, elapsed: float, remaining: float | None) -> str:
    """While a run works."""
    parts = [_where(story), _("{time} so far").format(time=duration(elapsed))]
    if remaining is not None:
        parts.append(_("about {time} left").format(time=duration(remaining)))
    return " \N{MIDDLE DOT} ".join(part for part in parts if part)


def _where(story: Story) -> str:
    progress = story.progress
    if progress is not None and progress.queue:
        return _("Waiting for {count} other run(s)").format(count=progress.queue)
    if story.index is None:
        return _("Starting")
    steps = sum(1 for moment in story.of_slice(story.index) if moment.takes_back is None)
    text = _("Slice {index}, step {step}").format(index=story.index, step=steps + 1)
    if progress is not None and progress.done + progress.left > 1:
        total = progress.done + progress.left
        text += _(" ({done} of {total} slices done)").format(done=progress.done, total=total)
    return text


def sending(sent: int, total: int) -> str:
    """While the volume is sent."""
    if not total:
        return _("Sending the volume")
    return _("Sending the volume: {percent} % of {size:.0f} MB").format(
        percent=100 * sent // total, size=total / 1e6
    )


def fraction_done(story: Story) -> float | None:
    """Between 0 and 1; None where it cannot be said."""
    progress = story.progress
    if progress is None or progress.done + progress.left < 2:
        return None
    return progress.done / (progress.done + progress.left)
