import { createParser } from "eventsource-parser";
import fc from "fast-check";
import { expect, test } from "vitest";
import { SseParser, type StreamedEvent } from "../../src/client/sse-parser.ts";

function parse(pieces: readonly string[]): StreamedEvent[] {
  const parser = new SseParser();
  return pieces.flatMap((piece) => parser.parse(piece));
}

test("SseParser: reads fields, comments, several lines of data, and all line ends", () => {
  const text = ": hi\r\nid: 7\r\nevent: text\r\ndata: {\ndata: }\r\rdata:x\n\nevent: none\n\nretry: 1000\n\ndata: cut";
  expect(parse([text])).toEqual([
    { event: "text", data: "{\n}", id: "7" },
    { event: "message", data: "x" },
  ]);
  const parser = new SseParser();
  parser.parse("retry: 1000\n\nretry: soon\n\n");
  expect(parser.retryMs).toBe(1_000);
});

test("SseParser: gives the same events however the stream is cut, as another parser does", () => {
  const piece = fc.constantFrom(
    "id: 1",
    "event: a",
    "data: x",
    "data",
    ": c",
    "",
    "",
    "\n",
    "\r\n",
    "\r",
    "\n\n",
    "é😀",
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 30 }), fc.array(fc.nat(40), { maxLength: 8 }), (lines, cuts) => {
      const text = `${lines.join("\n")}\n\n`;
      const places = [...new Set(cuts)].toSorted((a, b) => a - b);
      const pieces = [0, ...places].map((from, index) => text.slice(from, places[index]));
      const expected: StreamedEvent[] = [];
      const reference = createParser({
        onEvent: ({ event = "message", data, id }) => expected.push({ event, data, ...(id !== undefined && { id }) }),
      });
      reference.feed(text);
      expect(parse(pieces)).toEqual(parse([text]));
      expect(parse(pieces)).toEqual(expected);
    }),
  );
});
