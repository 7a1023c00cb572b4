/** An environment on the wire. */
interface Environment {
  readonly type: "environment";
  readonly id: string;
  readonly name: string;
  readonly description: null;
  readonly config: { readonly type: "self_hosted" };
  readonly metadata: Readonly<Record<string, string>>;
  readonly archived_at: null;
  readonly created_at: string;
  readonly updated_at: string;
}

/** The environment of all sessions: this machine. */
export const ENVIRONMENT: Environment = {
  type: "environment",
  id: "env_local",
  name: "local",
  description: null,
  config: { type: "self_hosted" },
  metadata: {},
  archived_at: null,
  created_at: "1970-01-01T00:00:00.000Z",
  updated_at: "1970-01-01T00:00:00.000Z",
};
