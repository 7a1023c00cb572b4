import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { Webhook } from "standardwebhooks";

/** A request that a receiver has verified. */
export interface ReceivedWebhook {
  readonly id: string;
  readonly type: string;
  readonly timestamp: string;
  readonly data: { readonly [field: string]: unknown };
  readonly body: string;
}

/** How a receiver answers: with a status, with headers, or by cutting the connection after its work (`lost`). */
export type Answer =
  | number
  | { readonly status: number; readonly headers: Readonly<Record<string, string>> }
  | "lost"
  | "never";

/** Two secrets, as of Standard Webhooks. */
export const SECRET: string = `whsec_${Buffer.from("0123456789abcdef0123456789abcdef").toString("base64")}`;
export const OLD_SECRET: string = `whsec_${Buffer.from("fedcba9876543210fedcba9876543210").toString("base64")}`;

/** A receiver of webhooks. Verifies each request with the verifier of Standard Webhooks, and keeps it. */
export class Receiver implements AsyncDisposable {
  /** All requests, in order, however they were answered. */
  readonly requests: ReceivedWebhook[] = [];
  /** Why requests were not verified. */
  readonly forged: string[] = [];
  /** How many requests have run side by side at most. */
  most = 0;
  answer: (request: ReceivedWebhook) => Answer | Promise<Answer> = () => 204;
  readonly #secret: string;
  #server: Server;
  #port = 0;
  #running = 0;
  #waiting = new Set<() => void>();

  private constructor(secret: string) {
    this.#secret = secret;
    this.#server = createServer();
  }

  static async open(secret: string = SECRET): Promise<Receiver> {
    const receiver = new Receiver(secret);
    await receiver.up();
    return receiver;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}/hook?key=in-the-query`;
  }

  /** The ids that were answered with success, in order. */
  readonly confirmed: string[] = [];

  /** The ids of all requests, each once, in the order of their first arrival. */
  get ids(): string[] {
    return [...new Set(this.requests.map(({ id }) => id))];
  }

  /** The data of all requests, each once. */
  get events(): ReceivedWebhook[] {
    return [...new Map(this.requests.toReversed().map((request) => [request.id, request])).values()].toReversed();
  }

  /** Resolves once `condition` holds, which is checked after each answer. */
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) {
      await new Promise<void>((resolve) => {
        this.#waiting.add(resolve);
      });
    }
  }

  /** Listens, again on the same port. */
  async up(): Promise<void> {
    this.#server = createServer((request, response) => void this.#receive(request, response));
    await new Promise<void>((resolve) => this.#server.listen(this.#port, "127.0.0.1", resolve));
    const address = this.#server.address();
    if (typeof address === "object" && address !== null) this.#port = address.port;
  }

  /** Listens no more, and cuts all connections. */
  async down(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeAllConnections();
    await closed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.down();
  }

  async #receive(request: IncomingMessage, response: ServerResponse): Promise<void> {
    this.#running += 1;
    this.most = Math.max(this.most, this.#running);
    const chunks: Buffer[] = [];
    try {
      for await (const chunk of request) chunks.push(chunk as Buffer);
    } catch {
      this.#running -= 1;
      return;
    }
    const body = Buffer.concat(chunks).toString("utf8");
    const headers = Object.fromEntries(Object.entries(request.headers).map(([name, value]) => [name, String(value)]));
    let answer: Answer = 401;
    try {
      const message = new Webhook(this.#secret).verify(body, headers) as Omit<ReceivedWebhook, "id" | "body">;
      const received = { id: String(headers["webhook-id"]), ...message, body };
      this.requests.push(received);
      answer = await this.answer(received);
      if (typeof answer === "number" && answer < 300) this.confirmed.push(received.id);
    } catch (error) {
      this.forged.push(String(error));
    }
    this.#running -= 1;
    if (answer === "lost") request.socket.destroy();
    else if (typeof answer === "number") response.writeHead(answer).end();
    else if (answer !== "never") response.writeHead(answer.status, answer.headers).end("x".repeat(200_000));
    for (const wake of this.#waiting) wake();
    this.#waiting.clear();
  }
}
