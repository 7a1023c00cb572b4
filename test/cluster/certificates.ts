import { execFile, execFileSync } from "node:child_process";
import { copyFile, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import type { TlsPaths } from "../../src/cluster/http/tls-files.ts";

/** Whether the program that makes the certificates is here. Node.js has no means to issue one. */
export function hasOpenssl(): boolean {
  try {
    execFileSync("openssl", ["version"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

export interface CertificateTerms {
  readonly names?: string;
  readonly uses?: string;
  /** The first and the last second of its validity, as `YYYYMMDDhhmmssZ`. */
  readonly from?: string;
  readonly to?: string;
  /** The size of an RSA key. Default: a key of an elliptic curve. */
  readonly bits?: number;
}

const EC = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];

/** A certificate authority in a folder of its own. */
export class CertificateAuthority implements AsyncDisposable {
  readonly folder: string;
  #issued = 0;

  private constructor(folder: string) {
    this.folder = folder;
  }

  static async create(name = "authority of a test"): Promise<CertificateAuthority> {
    const authority = new CertificateAuthority(await mkdtemp(join(tmpdir(), "authority-")));
    const { folder, ca } = authority;
    const made = ["-keyout", join(folder, "ca.key"), "-out", ca];
    await openssl("req", "-x509", ...EC, "-days", "10000", "-subj", `/CN=${name}`, ...made);
    await Promise.all([
      writeFile(join(folder, "index.txt"), ""),
      writeFile(
        join(folder, "ca.cnf"),
        [
          "[ca]\ndefault_ca=own",
          `[own]\ndatabase=${join(folder, "index.txt")}\nnew_certs_dir=${folder}\nrand_serial=yes`,
          "default_md=sha256\npolicy=any\ncopy_extensions=copy\nunique_subject=no",
          "[any]\ncommonName=supplied\n",
        ].join("\n"),
      ),
    ]);
    return authority;
  }

  /** The file with the authority's own certificate. */
  get ca(): string {
    return join(this.folder, "ca.pem");
  }

  /** Issues a certificate, by default one for nodes on this machine. */
  async issue(terms: CertificateTerms = {}): Promise<Omit<TlsPaths, "serverName">> {
    const { names = "DNS:localhost,IP:127.0.0.1", uses = "serverAuth,clientAuth" } = terms;
    const { from = "20200101000000Z", to = "20690101000000Z", bits } = terms;
    const kind = bits === undefined ? EC : ["-newkey", `rsa:${bits}`, "-nodes"];
    const place = join(this.folder, `${++this.#issued}`);
    await mkdir(place);
    const [request, cert, key] = ["request.pem", "cert.pem", "key.pem"].map((name) => join(place, name)) as [
      string,
      string,
      string,
    ];
    const extensions = [`subjectAltName=${names}`, ...(uses === "" ? [] : [`extendedKeyUsage=${uses}`])];
    const asked = extensions.flatMap((extension) => ["-addext", extension]);
    await openssl(
      "req",
      "-new",
      ...kind,
      "-subj",
      `/CN=node ${this.#issued}`,
      ...asked,
      "-keyout",
      key,
      "-out",
      request,
    );
    const own = ["-config", join(this.folder, "ca.cnf"), "-cert", this.ca, "-keyfile", join(this.folder, "ca.key")];
    const span = ["-startdate", from, "-enddate", to];
    await openssl("ca", "-batch", "-notext", ...own, ...span, "-in", request, "-out", cert);
    return { ca: this.ca, cert, key };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.folder, { recursive: true, force: true });
  }
}

/** Replaces files, as whoever renews a certificate does. */
export async function replace(files: TlsPaths, by: TlsPaths): Promise<void> {
  await copyFile(by.cert, files.cert);
  await copyFile(by.key, files.key);
}

async function openssl(...args: string[]): Promise<void> {
  await promisify(execFile)("openssl", args);
}
