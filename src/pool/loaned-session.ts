import type { PastApproval } from "../session/controls.ts";
import type { Prompt } from "../session/options/prompt.ts";
import type { TurnOptions } from "../session/options/turn-options.ts";
import { invalidOptions } from "../session/options/validation.ts";
import { Session, type SessionSource } from "../session/session.ts";
import type { SessionEvent } from "../session/status/session-event.ts";
import type { Turn } from "../session/streams/turn.ts";

/** The session of a loan: a handle that works only while the loan lasts, and shows only what is the borrower's. */
export class LoanedSession extends Session {
  readonly #over: Promise<unknown>;
  /** When the loan began, in milliseconds since the epoch. */
  readonly #since: number;
  /** The turns of the loan. */
  readonly #turns = new Set<string>();

  /** `over` resolves when the loan ends; from then on the handle finds nothing. */
  constructor(source: SessionSource, since: number, over: Promise<unknown>) {
    super(source);
    this.#since = since;
    this.#over = over;
  }

  override stream<Structured = unknown>(prompt: Prompt, options: TurnOptions<Structured> = {}): Turn<Structured> {
    refuseKey(options);
    const turn = super.stream(prompt, options);
    this.#turns.add(turn.id);
    return turn;
  }

  override async enqueue(prompt: Prompt, options: TurnOptions = {}): Promise<string> {
    refuseKey(options);
    const id = await super.enqueue(prompt, options);
    this.#turns.add(id);
    return id;
  }

  /** A turn of this loan. @throws CastellanError `LOAN_ENDED`, `JOURNAL_UNAVAILABLE` */
  override async turn(id: string): Promise<Turn | undefined> {
    const turn = await super.turn(id);
    return this.#turns.has(id) ? turn : undefined;
  }

  /** The permissions that Claude asked for in this loan. */
  override async approvalHistory(options: { readonly limit?: number } = {}): Promise<PastApproval[]> {
    const approvals = await super.approvalHistory(options);
    return approvals.filter(({ requestedAt }) => requestedAt >= this.#since);
  }

  /** What happens to the session in this loan, from now on. Ends with the loan. */
  override events(): AsyncGenerator<SessionEvent, void, undefined> {
    return this.#whileLent(super.events());
  }

  async *#whileLent(
    events: AsyncGenerator<SessionEvent, void, undefined>,
  ): AsyncGenerator<SessionEvent, void, undefined> {
    const over = this.#over.then(() => undefined);
    try {
      for (;;) {
        const next = await Promise.race([over, events.next()]);
        if (next === undefined || next.done === true) return;
        yield next.value;
      }
    } finally {
      // It may wait for one that only the next borrower brings about.
      void events.return();
    }
  }
}

/** A key is one session's, so that another borrower of it would be given this one's reply. */
function refuseKey({ idempotencyKey }: TurnOptions): void {
  if (idempotencyKey === undefined) return;
  const message = "cannot be used with a member of a pool, whose keys are those of all who borrow it";
  throw invalidOptions("turn of a loan", [{ field: "idempotencyKey", message }]);
}
