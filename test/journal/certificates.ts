import { execFile } from "node:child_process";
import { chmod, chown } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

/** The files of a certificate and of the authority that signed it. */
export interface Certificate {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

/** Makes an authority in a folder, and a certificate for a host such as `DNS:localhost` or `IP:127.0.0.1`. */
export async function certificate(folder: string, name: string, host: string, uid?: number): Promise<Certificate> {
  const at = (file: string): string => join(folder, `${name}-${file}`);
  const made = { ca: at("ca.pem"), cert: at("cert.pem"), key: at("key.pem") };
  const kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  await run("openssl", [
    "req",
    "-x509",
    ...kind,
    "-subj",
    `/CN=${name} CA`,
    "-keyout",
    at("ca-key.pem"),
    "-out",
    made.ca,
  ]);
  await run("openssl", [
    "req",
    ...kind,
    "-subj",
    `/CN=${name}`,
    "-addext",
    `subjectAltName=${host}`,
    "-keyout",
    made.key,
    "-out",
    at("request.pem"),
  ]);
  const authority = ["-CA", made.ca, "-CAkey", at("ca-key.pem"), "-CAcreateserial"];
  await run("openssl", [
    "x509",
    "-req",
    "-in",
    at("request.pem"),
    ...authority,
    "-copy_extensions",
    "copy",
    "-out",
    made.cert,
  ]);
  await chmod(made.key, 0o600);
  if (uid !== undefined) for (const file of Object.values(made)) await chown(file, uid, uid);
  return made;
}
