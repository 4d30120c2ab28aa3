// Puts the client and what it needs into one file, and beside it the licences of what went in.

const fs = require("fs");
const path = require("path");
const esbuild = require("esbuild");

async function main() {
  const { metafile } = await esbuild.build({
    entryPoints: ["src/extension.js"],
    outfile: "dist/extension.js",
    bundle: true,
    platform: "node",
    target: "node20",
    external: ["vscode"],
    minify: true,
    metafile: true,
  });
  const folders = Object.keys(metafile.inputs).flatMap((file) => file.match(/^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+/) ?? []);
  const notices = [...new Set(folders)].sort().map((folder) => {
    const { name, version } = JSON.parse(fs.readFileSync(path.join(folder, "package.json"), "utf8"));
    const license = fs.readdirSync(folder).find((file) => /^licen[cs]e/i.test(file));
    if (!license) throw new Error(`${name} has no licence file`);
    return `${name} ${version}\n\n${fs.readFileSync(path.join(folder, license), "utf8").trim()}\n`;
  });
  fs.writeFileSync("dist/NOTICES.txt", notices.join(`\n${"-".repeat(80)}\n\n`));
}

main().catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
