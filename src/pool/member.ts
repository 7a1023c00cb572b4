import { isDeepStrictEqual } from "node:util";
import type { SessionName } from "../names.ts";
import { isNothing } from "../session/conversation/granted.ts";
import type { SessionSettings } from "../session/options/session-settings.ts";
import type { SessionOwner } from "../session/session.ts";
import type { SessionServer } from "../session/session-server.ts";
import type { Candidate } from "./balancer.ts";
import { candidateOf } from "./balancer.ts";

/** What a member of a pool is doing: being added, free to be lent, lent, being reset for the next borrower, or being removed. */
export type MemberUse = "joining" | "free" | "lent" | "resetting" | "leaving";

/** A session that has been added to a pool and has not started yet. */
export interface Joining {
  readonly server: SessionServer;
  readonly owner: SessionOwner;
  /**
   * Restores the session from the journal and starts it.
   *
   * @param restored called after the restore, before the start
   */
  begin(restored: () => void): Promise<void>;
}

/** A member of a pool. */
export class Member {
  readonly index: number;
  readonly server: SessionServer;
  readonly owner: SessionOwner;
  readonly begin: Joining["begin"];
  /** The settings with which the pool lends it. */
  settings: SessionSettings;
  use: MemberUse = "joining";
  /** When it became free, on the monotonic clock. */
  freeSince = 0;
  /** Whether the journal may have turns of it that only its next life continues. */
  owes = false;
  /** Whether the pool is already waiting for its turns to end. */
  watched = false;

  constructor(index: number, { server, owner, begin }: Joining) {
    this.index = index;
    this.server = server;
    this.owner = owner;
    this.begin = begin;
    this.settings = server.settings;
  }

  get name(): SessionName {
    return this.server.settings.name;
  }

  /** Whether it takes turns: it is neither quarantined nor stopped nor being removed. */
  get usable(): boolean {
    const { name } = this.server.state;
    return name !== "quarantined" && name !== "stopped" && this.use !== "leaving";
  }

  get quarantined(): boolean {
    return this.server.state.name === "quarantined" && this.use !== "leaving";
  }

  /** When its process last exited, in milliseconds since the epoch. */
  get exitedAt(): number {
    return this.server.status().lastExit?.at ?? 0;
  }

  get idle(): boolean {
    return this.server.hasNoTurns;
  }

  /** Whether its options differ from the pool's, because of calls such as `setModel` or of granted permissions. */
  get changed(): boolean {
    return !isDeepStrictEqual(this.server.settings.sdk, this.settings.sdk) || !isNothing(this.server.granted);
  }

  get candidate(): Candidate | undefined {
    return candidateOf(this.name, this.server.status(), this.server.recentErrors);
  }
}

/** How many resets are tried before the pool gives a member up. */
const TRIES = 3;

/** Whether a member can be lent: it has the pool's options and, if the pool's conversations are fresh, an empty conversation. */
function isTidy(member: Member, fresh: boolean): boolean {
  return !member.changed && (!fresh || member.server.forgetting.isDone);
}

/**
 * Resets a member for the next borrower: ends its turns, restores the pool's options and, if the pool's conversations are fresh,
 * empties its conversation. Resolves with whether that succeeded. Never rejects.
 *
 * @param reconfigure gives the member the pool's options from its next process on
 */
export async function resetMember(
  member: Member,
  fresh: () => boolean,
  reconfigure: (server: SessionServer, settings: SessionSettings) => void,
): Promise<boolean> {
  for (let tries = 0; tries < TRIES && member.usable && !isTidy(member, fresh()); tries++) {
    // A failed try leaves the member as it was, and `isTidy` sees that.
    await resetOnce(member, fresh, reconfigure).catch(() => {});
  }
  return isTidy(member, fresh());
}

async function resetOnce(
  member: Member,
  fresh: () => boolean,
  reconfigure: (server: SessionServer, settings: SessionSettings) => void,
): Promise<void> {
  const { server, owner } = member;
  await server.finishTurns();
  // A process that is starting may do the reset.
  await server.settled();
  const { changed } = member;
  if (changed) {
    reconfigure(server, member.settings);
    server.revokeGrants();
  }
  if (fresh() && (changed || !server.forgetting.isDone)) await server.forgetting.startAfresh();
  else if (changed) await owner.restart({});
}
