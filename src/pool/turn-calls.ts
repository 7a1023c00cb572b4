import type { SessionServer } from "../session/session-server.ts";
import { steerTurn } from "../session/steer-turn.ts";
import type { TurnCalls } from "../session/streams/turn.ts";
import type { TurnRecord } from "../session/streams/turn-record.ts";

/** Returns what a member does for one of its turns. */
export function callsOf(server: SessionServer, record: TurnRecord): TurnCalls {
  return {
    interrupt: () => server.interrupt(record),
    steer: async (text, options) => {
      await steerTurn(server, record, text, options, { isLent: true });
      return undefined;
    },
    events: (options) => server.reading.events(options),
    asks: server.settings.approvals !== false,
    content: ({ $content }) => server.reading.content($content),
  };
}
