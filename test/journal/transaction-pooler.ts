import { once } from "node:events";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import pg from "pg";

/** The startup parameters that clients may send. Any other would be a setting of the session. */
const STARTUP = ["user", "database", "application_name", "client_encoding"];

interface Frame {
  readonly type: string;
  readonly bytes: Buffer;
}

/**
 * A pooler before PostgreSQL that gives each transaction of a client the connection that has been idle longest, as
 * PgBouncer may: two transactions of a client hardly ever run in the same session.
 */
export class TransactionPooler {
  readonly #server: Server;
  readonly #sessions: readonly Session[];
  readonly #clients = new Set<Socket>();
  #transactions = 0;

  private constructor(sessions: readonly Session[]) {
    this.#sessions = sessions;
    const free = [...sessions];
    const waiting: ((session: Session) => void)[] = [];
    const lease: Lease = {
      take: (use) => {
        this.#transactions += 1;
        const session = free.shift();
        if (session === undefined) waiting.push(use);
        else use(session);
      },
      giveBack: (session) => {
        const next = waiting.shift();
        if (next === undefined) free.push(session);
        else next(session);
      },
    };
    this.#server = createServer({ noDelay: true }, (socket) => {
      this.#clients.add(socket);
      serve(socket, lease);
    });
  }

  static async start(url: string, size: number): Promise<TransactionPooler> {
    const sessions = await Promise.all(Array.from({ length: size }, () => Session.open(url)));
    const pooler = new TransactionPooler(sessions);
    pooler.#server.listen(0, "127.0.0.1");
    await once(pooler.#server, "listening");
    return pooler;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** The number of transactions so far. */
  get transactions(): number {
    return this.#transactions;
  }

  async stop(): Promise<void> {
    const closed = once(this.#server, "close");
    this.#server.close();
    for (const client of this.#clients) client.destroy();
    for (const { socket } of this.#sessions) socket.destroy();
    await closed;
  }
}

interface Lease {
  take(use: (session: Session) => void): void;
  giveBack(session: Session): void;
}

/** A session on the server, logged in and idle. */
class Session {
  readonly socket: Socket;
  /** Receives the messages of the server. */
  listener: (frame: Frame) => void = () => {};

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on("error", () => {});
    socket.on(
      "data",
      framesTo((frame) => this.listener(frame)),
    );
  }

  static async open(url: string): Promise<Session> {
    const client = new pg.Client({ connectionString: url });
    client.on("error", () => {});
    await client.connect();
    const socket = client.connection.stream as Socket;
    socket.removeAllListeners("data");
    return new Session(socket);
  }
}

function serve(client: Socket, { take, giveBack }: Lease): void {
  let started = false;
  let session: Session | "awaited" | undefined;
  const backlog: Frame[] = [];
  /** How many `ReadyForQuery` messages the server still owes. */
  let unanswered = 0;

  const use = (taken: Session): void => {
    session = taken;
    taken.listener = ({ type, bytes }) => {
      client.write(bytes);
      if (type !== "Z") return;
      unanswered -= 1;
      if (unanswered > 0 || bytes.toString("latin1", 5, 6) !== "I") return;
      session = undefined;
      taken.listener = () => {};
      giveBack(taken);
    };
    for (const frame of backlog.splice(0)) send(taken, frame);
  };
  const send = (taken: Session, { type, bytes }: Frame): void => {
    if (type === "Q" || type === "S") unanswered += 1;
    taken.socket.write(bytes);
  };
  const onFrame = (frame: Frame): void => {
    if (frame.type === "X") {
      client.end();
    } else if (session instanceof Session) {
      send(session, frame);
    } else {
      backlog.push(frame);
      if (session === undefined) {
        session = "awaited";
        take(use);
      }
    }
  };
  const toFrames = framesTo(onFrame);
  client.on("error", () => {});
  client.on("data", (data: Buffer) => {
    if (started) return toFrames(data);
    const names = data
      .toString("latin1", 8)
      .split("\0")
      .filter((_, index) => index % 2 === 0);
    const foreign = names.filter((name) => name !== "" && !STARTUP.includes(name));
    if (foreign.length > 0) return client.end(errorFrame(`unsupported startup parameter: ${foreign.join(", ")}`));
    started = true;
    const ready = [frameOf("R", Buffer.alloc(4)), frameOf("K", Buffer.alloc(8)), frameOf("Z", Buffer.from("I"))];
    client.write(Buffer.concat(ready));
  });
}

/** Returns a function that collects bytes and passes on the complete messages in them. */
function framesTo(tell: (frame: Frame) => void): (data: Buffer) => void {
  let rest: Buffer = Buffer.alloc(0);
  return (data) => {
    rest = Buffer.concat([rest, data]);
    while (rest.length >= 5) {
      const length = 1 + rest.readInt32BE(1);
      if (rest.length < length) return;
      const bytes = rest.subarray(0, length);
      rest = rest.subarray(length);
      tell({ type: String.fromCharCode(bytes[0] ?? 0), bytes });
    }
  };
}

function frameOf(type: string, body: Buffer): Buffer {
  const head = Buffer.alloc(5);
  head.write(type, 0, "latin1");
  head.writeInt32BE(body.length + 4, 1);
  return Buffer.concat([head, body]);
}

function errorFrame(message: string): Buffer {
  return frameOf("E", Buffer.from(`SFATAL\0C08P01\0M${message}\0\0`));
}
