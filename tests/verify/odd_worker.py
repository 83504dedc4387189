"""A worker for tests whose checker does what the response says: crash, raise, show, sleep."""

import os
import time

from distill.verify.item import Item, Judgement
from distill.verify.worker import confine, serve


def act(item: Item) -> Judgement:
    word = item.response.removeprefix("\\boxed{").removesuffix("}")
    if word == "exit":
        os._exit(3)
    if word == "raise":
        raise ZeroDivisionError("a checker's own mistake")
    if word == "sleep":
        time.sleep(60)
    if word == "memory":
        bytearray(1 << 40)
    if word == "chatter":
        for descriptor in (1, 2):
            os.write(descriptor, b"noise\n" * 100_000)
    with open(f"/proc/{os.getpid()}/environ", "rb") as file:
        started_with = file.read()
    detail = f"{started_with.decode()}{dict(os.environ)} {os.getpid()}"
    return Judgement(status="correct", extracted=word, checker="odd/1", detail=detail)


def main(timeout_s: float, memory_gib: float) -> None:
    confine(memory_gib)
    serve(act, timeout_s)
