import { isDeepStrictEqual } from "node:util";
import type { SessionName } from "../names.ts";
import type { SessionSettings } from "../session/options/session-settings.ts";
import type { SessionOwner } from "../session/session.ts";
import type { SessionServer } from "../session/session-server.ts";
import type { Candidate } from "./balancer.ts";
import { candidateOf } from "./candidate.ts";

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
