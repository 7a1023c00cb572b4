import type { SessionSettings } from "../session/options/session-settings.ts";
import type { SessionServer } from "../session/session-server.ts";
import type { Member } from "./member.ts";

/** How often a member is made ready before it is given up. */
const TRIES = 3;

/** Whether a member can be lent: its options are the pool's, and, if it is to be fresh, nothing has been said in it. */
function isTidy(member: Member, fresh: boolean): boolean {
  return !member.changed && (!fresh || member.server.untouched);
}

/**
 * Makes a member ready for the next one: nothing runs in it, its options are the pool's, and, if it is to be fresh, its
 * conversation is empty. Resolves with whether that could be done. Never rejects.
 *
 * @param reconfigure has it take up the pool's options with its next process
 */
export async function tidied(
  member: Member,
  fresh: () => boolean,
  reconfigure: (server: SessionServer, settings: SessionSettings) => void,
): Promise<boolean> {
  for (let tries = 0; tries < TRIES && member.fit && !isTidy(member, fresh()); tries++) {
    // What goes wrong leaves it as it is, which is seen.
    await tidy(member, fresh, reconfigure).catch(() => {});
  }
  return isTidy(member, fresh());
}

async function tidy(
  member: Member,
  fresh: () => boolean,
  reconfigure: (server: SessionServer, settings: SessionSettings) => void,
): Promise<void> {
  const { server, owner } = member;
  await server.finishTurns();
  // A process that is on its way up may do it.
  await server.settled();
  const { changed } = member;
  if (changed) {
    reconfigure(server, member.settings);
    server.revokeGrants();
  }
  if (fresh() && (changed || !server.untouched)) await server.startAfresh();
  else if (changed) await owner.restart({});
}
