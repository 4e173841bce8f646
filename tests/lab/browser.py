"""A headless Chromium, as far as the tests need one. Usage: browser.py is a library of the tests here."""

import shutil
import subprocess
import tempfile

PATIENCE_S = 120


def find() -> str | None:
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def dom(page, width: int, height: int = 900, dark: bool = False) -> str:
    """The document once its scripts have run."""
    with tempfile.TemporaryDirectory(prefix="rubato-browser-") as profile:
        command = [find(), "--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}",
                   f"--window-size={width},{height}", "--blink-settings=preferredColorScheme=" + ("0" if dark else "1"),
                   "--host-resolver-rules=MAP * ~NOTFOUND", "--dump-dom", page.as_uri()]
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S)
    if done.returncode != 0 or not done.stdout.strip():
        raise AssertionError(f"chromium failed: {done.stderr[-2000:]}")
    return done.stdout
