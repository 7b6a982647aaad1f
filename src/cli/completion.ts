/**
 * Shell completion made from the command table: commands, options, their values, and file names.
 * The scripts hold everything they need, so a press of Tab starts no process.
 *
 * @module
 */
import {
  COMMON_OPTIONS,
  type Command,
  type OperandSpec,
  type OptionSpec,
  type OptionTable,
} from "./command.ts";
import { optionText } from "./help.ts";
import { helpLetter } from "./parse.ts";

/** The shells there is a script for. */
export const SHELLS = ["bash", "zsh"] as const;

/** A shell there is a script for. */
export type Shell = (typeof SHELLS)[number];

/** The script that a shell loads. */
export function completionScript(shell: Shell, commands: readonly Command[]): string {
  return shell === "bash" ? bashScript(commands) : zshScript(commands);
}

/** Options with the letter that help has in this command. */
function optionsOf(spec: Command): OptionTable {
  const letter = helpLetter(spec);
  const help =
    letter === undefined ? COMMON_OPTIONS.help : { ...COMMON_OPTIONS.help, short: letter };
  return { ...spec.options, ...COMMON_OPTIONS, help };
}

function operandOf(spec: Command): OperandSpec | undefined {
  return spec.operands.at(-1);
}

function bashScript(commands: readonly Command[]): string {
  return `# bash completion for daxkit, made by 'daxkit completion bash'
_daxkit() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD - 1]} options words i end=
  COMPREPLY=()
  # Readline splits words at '=': put '--option=value' together again.
  if [[ $cur == "=" ]]; then
    cur=
  elif [[ $prev == "=" ]]; then
    prev=\${COMP_WORDS[COMP_CWORD - 2]}
  fi
  # It splits at ':' too, and a path inside an image is no path of this machine.
  [[ $cur == ":"* || $prev == ":" ]] && return
  local commands=${quoted(commands.map(({ name }) => name))}
  if ((COMP_CWORD == 1)); then
    mapfile -t COMPREPLY < <(compgen -W "$commands --help --version" -- "$cur")
    return
  fi
  case \${COMP_WORDS[1]}:$prev in
${commands.flatMap(bashValues).join("\n")}
  esac
  for ((i = 2; i < COMP_CWORD; i++)); do
    [[ \${COMP_WORDS[i]} == -- ]] && end=1
  done
  case \${COMP_WORDS[1]} in
${commands.map(bashOptions).join("\n")}
    *) return ;;
  esac
  if [[ $cur == -* && -z $end ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$options" -- "$cur")
  elif [[ $words == ":files" ]]; then
    _daxkit_files
  elif [[ -n $words ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
  fi
}
_daxkit_files() {
  compopt -o filenames 2>/dev/null
  mapfile -t COMPREPLY < <(compgen -f -- "$cur")
}
complete -F _daxkit daxkit
`;
}

/** What follows an option that takes a value. */
function bashValues(spec: Command): string[] {
  return Object.entries(optionsOf(spec)).flatMap(([name, option]) => {
    if (option.type === "flag") return [];
    const names = [`--${name}`, ...(option.short === undefined ? [] : [`-${option.short}`])];
    const pattern = names.map((each) => `${spec.name}:${each}`).join(" | ");
    if (option.type === "file") return [`    ${pattern}) _daxkit_files; return ;;`];
    const words = quoted(option.choices ?? []);
    return [`    ${pattern}) mapfile -t COMPREPLY < <(compgen -W ${words} -- "$cur"); return ;;`];
  });
}

function bashOptions(spec: Command): string {
  const names = Object.entries(optionsOf(spec)).flatMap(([name, { short }]) =>
    short === undefined ? [`--${name}`] : [`-${short}`, `--${name}`],
  );
  const complete = operandOf(spec)?.complete ?? (operandOf(spec) === undefined ? [] : "files");
  const words =
    complete === "files" ? "':files'" : complete === "commands" ? '"$commands"' : quoted(complete);
  return `    ${spec.name}) options=${quoted(names)} words=${words} ;;`;
}

function quoted(words: readonly string[]): string {
  return `'${words.join(" ").replaceAll("'", "'\\''")}'`;
}

function zshScript(commands: readonly Command[]): string {
  return `#compdef daxkit
# zsh completion for daxkit, made by 'daxkit completion zsh'
_daxkit() {
  local curcontext=$curcontext state line
  typeset -A opt_args
  _arguments -C \\
    '(- *)'{-h,--help}'[print help]' \\
    '(- *)--version[print the version]' \\
    '1:command:_daxkit_commands' \\
    '*::operand:->operands' && return
  case $words[1] in
${commands.map(zshCase).join("\n")}
  esac
}
_daxkit_commands() {
  local -a commands=(
${commands.map(({ name, summary }) => `    ${single(`${name}:${summary}`)}`).join("\n")}
  )
  _describe -t commands command commands
}
if [[ $funcstack[1] == _daxkit ]]; then
  _daxkit "$@"
else
  compdef _daxkit daxkit
fi
`;
}

function zshCase(spec: Command): string {
  const specs = [
    ...Object.entries(optionsOf(spec)).map(([name, option]) => zshOption(spec, name, option)),
    ...spec.operands.map(zshOperand),
  ];
  const lines = ["_arguments -s -S", ...specs.map((each) => `  ${each}`)];
  return `    ${spec.name})\n      ${lines.join(" \\\n      ")}\n      ;;`;
}

function zshOption(spec: Command, name: string, option: OptionSpec): string {
  const own = namesOf(name, option);
  const group = (spec.exclusive ?? []).filter((names) => names.includes(name)).flat();
  const others = group.flatMap((other) => {
    const otherOption = spec.options[other];
    return otherOption === undefined ? [] : namesOf(other, otherOption);
  });
  const many = option.type !== "flag" && option.many === true;
  const excluded = [...new Set([...(many ? [] : own), ...others])].join(" ");
  const head = many ? "*" : `(${excluded})`;
  const text = `[${zshText(optionText(name, option, spec))}]${zshAction(option)}`;
  const value = option.type === "flag" ? ["", ""] : ["+", "="];
  const long = `--${name}${value[1]}`;
  if (option.short === undefined) return single(head + long + text);
  return `${single(head)}{-${option.short}${value[0]},${long}}${single(text)}`;
}

function namesOf(name: string, { short }: OptionSpec): string[] {
  return short === undefined ? [`--${name}`] : [`-${short}`, `--${name}`];
}

function zshAction(option: OptionSpec): string {
  if (option.type === "flag") return "";
  if (option.type === "file") return `:${zshText(option.value)}:_files`;
  return `:${zshText(option.value)}:(${(option.choices ?? []).join(" ")})`;
}

function zshOperand({ name, count, complete = "files" }: OperandSpec, index: number): string {
  const place = count === "many" || count === "any" ? "*" : String(index + 1);
  const action =
    complete === "files"
      ? "_files"
      : complete === "commands"
        ? "_daxkit_commands"
        : `(${complete.join(" ")})`;
  return single(`${place}:${zshText(name)}:${action}`);
}

function zshText(text: string): string {
  return text.replaceAll(/[\\[\]:]/gu, "\\$&");
}

function single(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
