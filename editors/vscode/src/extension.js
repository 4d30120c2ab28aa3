// The client of `align lsp`: starts it, restarts it, and runs what its lenses ask for in a terminal.

const path = require("path");
const vscode = require("vscode");
const { LanguageClient } = require("vscode-languageclient/node");

let client;

/** The program, as it is set. */
function program() {
  const set = vscode.workspace.getConfiguration("align").get("path") || "align";
  const folder = vscode.workspace.workspaceFolders?.[0]?.uri.fsPath;
  const relative = set.includes("/") && !path.isAbsolute(set);
  return relative && folder ? path.join(folder, set) : set;
}

async function start() {
  const run = { command: program(), args: ["lsp"] };
  client = new LanguageClient("align", "align", run, { documentSelector: [{ scheme: "file", language: "align" }] });
  try {
    await client.start();
  } catch (error) {
    client = undefined;
    vscode.window.showErrorMessage(`align cannot be started: ${error.message}. Is \`align.path\` right?`);
  }
}

/** Runs a command of align on a recipe, in a terminal of its own. */
function inTerminal(command, uri, more) {
  const file = vscode.Uri.parse(uri).fsPath;
  const profile = vscode.workspace.getConfiguration("align").get("profile");
  const settings = profile ? ["--profile", profile] : [];
  const name = `align ${command}`;
  const shellArgs = [command, ...more.map((word) => (word === null ? file : word)), ...settings];
  vscode.window.createTerminal({ name, shellPath: program(), shellArgs, cwd: path.dirname(file) }).show();
}

async function activate(context) {
  const add = (name, work) => context.subscriptions.push(vscode.commands.registerCommand(name, work));
  for (const command of ["run", "watch", "plan"]) {
    add(`align.${command}`, (uri, recipe) => inTerminal(command, uri, [null, recipe]));
  }
  add("align.explain", (uri, recipe, stage) => inTerminal("explain", uri, [stage, null, recipe]));
  add("align.restart", async () => {
    await client?.stop();
    await start();
  });
  await start();
}

function deactivate() {
  return client?.stop();
}

module.exports = { activate, deactivate };
