import { deserialize, serialize } from "node:v8";
import { CastellanError, type ErrorDetails } from "../../errors.ts";

/** The largest message, in bytes: a batch with its contents. */
const MOST_BYTES = 512 * 1024 ** 2;

/** How many calls of the other side may be in work. */
const MOST_CALLS = 4_096;

const HEAD_BYTES = 4;

/** Answers a call of the other side. The error of a rejection reaches the caller. */
export type Answer = (method: string, args: readonly unknown[]) => Promise<unknown>;

type Message =
  | { readonly id: number; readonly method: string; readonly args: readonly unknown[] }
  | { readonly id: number; readonly value: unknown }
  | { readonly id: number; readonly error: SentFault };

interface SentFault {
  /** Left out for an error that is none of Castellan's. */
  readonly code?: string;
  readonly message: string;
  readonly details?: unknown;
}

/** The part of a socket that a channel needs. */
export interface ChannelSocket {
  once(event: "close", listener: () => void): unknown;
  on(event: "error", listener: (error: Error) => void): unknown;
  on(event: "data", listener: (bytes: Buffer) => void): unknown;
  cork(): void;
  write(bytes: Uint8Array): unknown;
  uncork(): void;
  unref(): unknown;
  destroy(): unknown;
}

/** The connection ended before the call was answered: the call may have taken effect. */
export class ChannelClosed extends Error {
  override readonly name = "ChannelClosed";
}

/**
 * A connection between two applications of this user on this machine, over which both call each other. Messages are
 * structured clones, each after its length; both ends are trusted.
 */
export class Channel {
  /** Resolves once the connection has ended. */
  readonly closed: Promise<void>;
  readonly #socket: ChannelSocket;
  /** Answers the other side's calls. */
  onCall: Answer;
  readonly #calls = new Map<number, PromiseWithResolvers<unknown>>();
  #received: Buffer[] = [];
  #bytes = 0;
  #next = 1;
  #working = 0;
  #hasEnded = false;

  constructor(socket: ChannelSocket, answer: Answer) {
    this.#socket = socket;
    this.onCall = answer;
    this.closed = new Promise((resolve) => {
      socket.once("close", () => {
        this.#end();
        resolve();
      });
    });
    socket.on("error", () => {});
    socket.on("data", (bytes: Buffer) => this.#receive(bytes));
  }

  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  /** Calls the other side. @throws ChannelClosed, or what the other side throws */
  async call(method: string, ...args: readonly unknown[]): Promise<unknown> {
    if (this.#hasEnded) throw closed();
    const id = this.#next++;
    const answered = Promise.withResolvers<unknown>();
    this.#calls.set(id, answered);
    this.#send({ id, method, args });
    return await answered.promise;
  }

  /** The connection does not keep this process running from now on. */
  unref(): void {
    this.#socket.unref();
  }

  /** Ends the connection. */
  close(): void {
    this.#socket.destroy();
    this.#end();
  }

  #end(): void {
    this.#hasEnded = true;
    for (const { reject } of this.#calls.values()) reject(closed());
    this.#calls.clear();
  }

  #send(message: Message): void {
    const body = serialize(message);
    const head = Buffer.allocUnsafe(HEAD_BYTES);
    head.writeUInt32BE(body.length);
    this.#socket.cork();
    this.#socket.write(head);
    this.#socket.write(body);
    this.#socket.uncork();
  }

  #receive(bytes: Buffer): void {
    this.#received.push(bytes);
    this.#bytes += bytes.length;
    try {
      for (let message = this.#take(); message !== undefined; message = this.#take()) this.#handle(message);
    } catch {
      // The other side speaks something else.
      this.close();
    }
  }

  /** Takes the next whole message. */
  #take(): Message | undefined {
    if (this.#bytes < HEAD_BYTES) return undefined;
    const [first = Buffer.alloc(0)] = this.#received;
    const head = first.length >= HEAD_BYTES ? first : this.#joined();
    const length = head.readUInt32BE();
    if (length > MOST_BYTES) throw new RangeError("the message is too large");
    if (this.#bytes < HEAD_BYTES + length) return undefined;
    const all = this.#joined();
    const rest = all.subarray(HEAD_BYTES + length);
    this.#received = rest.length === 0 ? [] : [rest];
    this.#bytes = rest.length;
    return deserialize(all.subarray(HEAD_BYTES, HEAD_BYTES + length)) as Message;
  }

  #joined(): Buffer {
    const [first, ...others] = this.#received;
    if (first !== undefined && others.length === 0) return first;
    const all = Buffer.concat(this.#received);
    this.#received = [all];
    return all;
  }

  #handle(message: Message): void {
    if ("method" in message) {
      if (this.#working >= MOST_CALLS) throw new RangeError("the other side calls too often");
      void this.#work(message.id, message.method, message.args);
      return;
    }
    const call = this.#calls.get(message.id);
    this.#calls.delete(message.id);
    if ("error" in message) call?.reject(errorOf(message.error));
    else call?.resolve(message.value);
  }

  async #work(id: number, method: string, args: readonly unknown[]): Promise<void> {
    this.#working++;
    try {
      const value = await this.onCall(method, args);
      if (!this.#hasEnded) this.#send({ id, value });
    } catch (error) {
      if (!this.#hasEnded) this.#send({ id, error: faultOf(error) });
    } finally {
      this.#working--;
    }
  }
}

function closed(): ChannelClosed {
  return new ChannelClosed("the connection to the other application has ended");
}

function faultOf(error: unknown): SentFault {
  if (!CastellanError.is(error)) return { message: error instanceof Error ? error.message : String(error) };
  const { code, message, details } = error;
  try {
    serialize(details);
    return { code, message, details };
  } catch {
    return { code, message };
  }
}

function errorOf({ code, message, details }: SentFault): Error {
  if (code === undefined) return new Error(message);
  // `details` belongs to `code`, whichever it is.
  return new CastellanError(code as "JOURNAL_UNAVAILABLE", message, {
    details: (details ?? { reason: "failed" }) as ErrorDetails["JOURNAL_UNAVAILABLE"],
  });
}
