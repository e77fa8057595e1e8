"""h11 as an oracle: one JSON object a line in, one reading a line out (see h11-oracle.ts)."""

import base64
import json
import sys

import h11


def text(raw):
    return bytes(raw).decode("latin-1")


class Reading:
    def __init__(self):
        self.messages = []
        self.open = None
        self.end = None
        self.why = None

    def begin(self, start):
        self.open = {"start": start, "body": ""}

    def finish(self):
        self.messages.append(self.open)
        self.open = None

    def told(self):
        return {
            "messages": self.messages,
            "open": self.open,
            "end": self.end,
            "why": self.why,
        }


def read(side, method, data):
    """What h11 tells of `data`, after which the peer closes."""
    reading = Reading()
    limit = 1 << 20
    if side == "request":
        connection = h11.Connection(h11.SERVER, max_incomplete_event_size=limit)
    else:
        connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=limit)
        connection.send(h11.Request(method=method, target="/", headers=[("Host", "a")]))
        connection.send(h11.EndOfMessage())
    connection.receive_data(data)
    is_at_end = False
    while reading.end is None:
        try:
            event = connection.next_event()
        except h11.RemoteProtocolError as error:
            reading.why = str(error)
            reading.end = "incomplete" if is_at_end else "refused"
            break
        if event is h11.NEED_DATA:
            if is_at_end:
                reading.end = "incomplete"
                break
            is_at_end = True
            connection.receive_data(b"")
        elif event is h11.PAUSED:
            reading.end = "closed"
        elif isinstance(event, h11.Request):
            reading.begin(text(event.method) + " " + text(event.target))
            if event.method == b"CONNECT":
                reading.finish()
                reading.end = "switched"
        elif isinstance(event, h11.InformationalResponse):
            reading.messages.append({"start": str(event.status_code), "body": ""})
            if event.status_code == 101:
                reading.end = "switched"
        elif isinstance(event, h11.Response):
            reading.begin(str(event.status_code))
        elif isinstance(event, h11.Data):
            reading.open["body"] += text(event.data)
        elif isinstance(event, h11.EndOfMessage):
            reading.finish()
            reading.end = after_message(connection, side)
        elif isinstance(event, h11.ConnectionClosed):
            reading.end = "clean" if side == "request" else "incomplete"
    return reading.told()


def after_message(connection, side):
    """Answers a request so that the next can be read; `None` where it can."""
    if side == "response":
        return "closed"
    connection.send(h11.Response(status_code=200, headers=[("Content-Length", "0")]))
    connection.send(h11.EndOfMessage())
    if connection.our_state is h11.DONE and connection.their_state is h11.DONE:
        connection.start_next_cycle()
        return None
    return "closed"


def main():
    print(json.dumps({"h11": h11.__version__}), flush=True)
    for line in sys.stdin:
        question = json.loads(line)
        answers = [
            read(question["side"], question["method"], base64.b64decode(data))
            for data in question["data"]
        ]
        print(json.dumps(answers), flush=True)


main()
