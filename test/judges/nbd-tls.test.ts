/** `daxkit nbd` over TLS, before libnbd's tools and with certificates that GnuTLS made. */
import { spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { daxkit } from "../support/daxkit.ts";
import { randomImage, type RunningServer, startServer } from "../support/nbd-server.ts";
import { cwd, digest, eachInAFolder, gnutls, libnbd, MIB, qemu, run, serve } from "./nbd-tools.ts";

eachInAFolder();

/** A CA, and what it signed for both sides. */
function makeCertificates(folder: string, authority = folder): string {
  const at = join(cwd, folder);
  mkdirSync(at);
  const key = (name: string): void => {
    run("certtool", "--generate-privkey", "--key-type=ecdsa", "--outfile", join(at, name));
  };
  const template = (name: string, ...lines: string[]): string => {
    writeFileSync(join(at, name), `${lines.join("\n")}\nexpiration_days = 30\n`);
    return join(at, name);
  };
  key("ca-key.pem");
  const ca = template("ca.info", `cn = ${authority}`, "ca", "cert_signing_key");
  const [caKey, caCert] = [join(at, "ca-key.pem"), join(at, "ca-cert.pem")];
  run(
    "certtool",
    "--generate-self-signed",
    "--load-privkey",
    caKey,
    "--template",
    ca,
    "--outfile",
    caCert,
  );
  for (const side of ["server", "client"]) {
    key(`${side}-key.pem`);
    const info = template(
      `${side}.info`,
      "cn = localhost",
      "dns_name = localhost",
      "signing_key",
      `tls_www_${side}`,
    );
    run(
      "certtool",
      "--generate-certificate",
      "--load-ca-certificate",
      caCert,
      "--load-ca-privkey",
      caKey,
      "--load-privkey",
      join(at, `${side}-key.pem`),
      "--template",
      info,
      "--outfile",
      join(at, `${side}-cert.pem`),
    );
  }
  return at;
}

const local = (server: RunningServer, query: string): string =>
  `nbds://localhost:${server.port}/?${query}`;

describe.skipIf(libnbd.missing || gnutls.missing)(`TLS${libnbd.hint}${gnutls.hint}`, () => {
  test("with certificates, read and write, and nothing in the clear", async () => {
    const pki = makeCertificates("pki");
    const image = randomImage(cwd, "a.img", 8 * MIB);
    const server = await startServer([
      "-p",
      "0",
      "--tls=require",
      "--tls-certificates",
      pki,
      image,
    ]);
    const uri = local(server, `tls-certificates=${pki}`);
    const other = randomImage(cwd, "other", 8 * MIB);
    run("nbdcopy", "--connections=4", other, uri);
    run("nbdcopy", "--connections=4", uri, "back");
    expect(digest(join(cwd, "back"))).toBe(digest(other));
    const clear = spawnSync("nbdinfo", [`nbd://localhost:${server.port}`], { encoding: "utf8" });
    expect(clear.status).not.toBe(0);
    const stranger = local(server, `tls-certificates=${makeCertificates("stranger")}`);
    expect(spawnSync("nbdinfo", [stranger]).status).not.toBe(0);
    if (!qemu.missing) {
      const credentials = `tls-creds-x509,id=t,dir=${pki},endpoint=client`;
      const options = `driver=nbd,host=localhost,port=${server.port},tls-creds=t`;
      run("qemu-img", "info", "--object", credentials, "--image-opts", options);
    }
    expect(await server.end()).toBe(0);
    expect(digest(image)).toBe(digest(other));
  });

  test("offered, and left to the client", async () => {
    const image = randomImage(cwd, "a.img", MIB);
    const server = await startServer([
      "-p",
      "0",
      "--tls-certificates",
      makeCertificates("pki"),
      image,
    ]);
    expect(run("nbdinfo", server.uri)).toContain("without TLS");
    expect(run("nbdinfo", local(server, `tls-certificates=${join(cwd, "pki")}`))).toContain(
      "with TLS",
    );
  });

  test("only for clients with a certificate that is known", async () => {
    const pki = makeCertificates("pki");
    const image = randomImage(cwd, "a.img", MIB);
    const args = ["-v", "-p", "0", "--tls=require", "--tls-verify-peer", "--tls-certificates", pki];
    const server = await startServer([...args, image]);
    run("nbdinfo", local(server, `tls-certificates=${pki}`));
    mkdirSync(join(cwd, "none"));
    // Of an authority of the same name: clients do not show what the server did not ask for.
    const stranger = makeCertificates("stranger", "pki");
    for (const folder of [join(cwd, "none"), stranger]) {
      copyFileSync(join(pki, "ca-cert.pem"), join(folder, "ca-cert.pem"));
      const uri = local(server, `tls-certificates=${folder}`);
      expect(spawnSync("nbdcopy", [uri, "null:"]).status).not.toBe(0);
    }
    const nobody = local(server, `tls-certificates=${join(cwd, "none")}`);
    const refused = daxkit(["ls", nobody]);
    expect(refused.stderr).toMatch(/^daxkit ls: E[A-Z]+: [^\n]*\n$/u);
    expect(refused.stderr).not.toContain("routines");
    const checked = daxkit(["nbd-check", nobody]);
    expect(checked.stderr).toMatch(/^daxkit nbd-check: E[A-Z]+: [^\n]*\n$/u);
    expect(checked.stderr).not.toContain("routines");
    await expect.poll(() => server.errors()).toMatch(/EPROTO.*did not return a certificate/u);
    await expect.poll(() => server.errors()).toMatch(/EPROTO.*no certificate that is trusted/u);
    run("nbdinfo", local(server, `tls-certificates=${pki}`));
  });

  test("with a pre-shared key", async () => {
    const keys = join(cwd, "keys.psk");
    run("psktool", "-u", "alice", "-p", keys);
    const image = randomImage(cwd, "a.img", 8 * MIB);
    const server = await serve(image, "--tls=require", "--tls-psk", keys);
    // As it is, wherever nobody is logged in.
    const { uri } = server;
    expect(uri).toMatch(/^nbds\+unix:\/\/alice@\/\?socket=/u);
    expect(uri).toContain(`&tls-psk-file=${keys}`);
    run("nbdcopy", uri, "back");
    expect(digest(join(cwd, "back"))).toBe(digest(image));
    const bare = uri.replace("alice@", "").replace(/&tls-psk-file=.*/u, "");
    expect(daxkit(["ls", bare]).stderr).toMatch(
      /EACCES.*give tls-cert.*or NAME@ and tls-psk-file/u,
    );
    run("psktool", "-u", "mallory", "-p", join(cwd, "wrong.psk"));
    const wrong = uri.replace("alice@", "mallory@").replace("keys.psk", "wrong.psk");
    expect(spawnSync("nbdinfo", [wrong]).status).not.toBe(0);
  });
});
