"""The challenge's contract on FastAPI. It is one process, so that there is one set of statistics.

POST /events takes a JSON array, all of it or none.
"""

from fastapi import FastAPI, Response
from pydantic import BaseModel, Field

app = FastAPI()
count = 0
total = 0.0
users: set[str] = set()


class Event(BaseModel):
    userId: str = Field(min_length=1, max_length=256)
    value: float = Field(allow_inf_nan=False)


@app.post("/event", status_code=200, response_class=Response)
async def event(event: Event) -> None:
    global count, total
    count += 1
    total += event.value
    users.add(event.userId)


@app.post("/events")
async def events(events: list[Event]) -> dict:
    global count, total
    count += len(events)
    for event in events:
        total += event.value
        users.add(event.userId)
    return {"counted": len(events)}


@app.get("/stats")
async def stats() -> dict:
    return {
        "totalRequests": count,
        "uniqueUsers": len(users),
        "sum": total,
        "avg": total / count if count else 0.0,
    }
