import { isDeepStrictEqual } from "node:util";
import type { SessionName } from "../names.ts";
import type { SessionSettings } from "../session/options/session-settings.ts";
import type { SessionOwner } from "../session/session.ts";
import type { SessionServer } from "../session/session-server.ts";
import type { Candidate } from "./balancer.ts";
import { candidateOf } from "./balancer.ts";

/**
 * What a member of a pool is doing for it: it is being added, can be lent, is lent, is being made ready for the next one, or is
 * being taken out.
 */
export type MemberUse = "joining" | "free" | "lent" | "tidying" | "leaving";

/** A session that has been added to a pool, and has not begun yet. */
export interface Joining {
  readonly server: SessionServer;
  readonly owner: SessionOwner;
  /**
   * Has it take up what the journal knows of it, and begin.
   *
   * @param restored is called between the two
   */
  begin(restored: () => void): Promise<void>;
}

/** A member of a pool. */
export class Member {
  readonly index: number;
  readonly server: SessionServer;
  readonly owner: SessionOwner;
  readonly begin: Joining["begin"];
  /** As it is to be lent. */
  settings: SessionSettings;
  use: MemberUse = "joining";
  /** Since when it is free, on the monotonic clock. */
  freeSince = 0;
  /** Whether somebody waits until it has nothing to do. */
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

  /** Whether it takes turns; one that is quarantined or stopped does not. */
  get fit(): boolean {
    const { name } = this.server.state;
    return name !== "quarantined" && name !== "stopped" && this.use !== "leaving";
  }

  get rests(): boolean {
    return this.server.hasNoTurns;
  }

  /** Whether it is no longer as its options say: by calls, such as `setModel`, or by what was approved in it. */
  get changed(): boolean {
    return !isDeepStrictEqual(this.server.settings.sdk, this.settings.sdk) || this.server.hasGrants;
  }

  get candidate(): Candidate | undefined {
    return candidateOf(this.name, this.server.status(), this.server.recentErrors);
  }
}

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
