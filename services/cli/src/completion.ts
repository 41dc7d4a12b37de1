import type { Command, Option } from 'commander';

/** The shells that completions are made for. */
export const SHELLS = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof SHELLS)[number];

/** A command with the words before it: none for the program itself. */
interface Place {
  readonly path: readonly string[];
  readonly command: Command;
}

/** Options whose value is a path. */
const PATHS = ['--file', '--config', '--data-dir', '--health-file'];

/** The script that makes a shell complete the command line; made of the program's own tree, so it knows what that knows. */
export function completionScript(program: Command, shell: Shell): string {
  const places = placesUnder({ path: [], command: program });
  switch (shell) {
    case 'bash':
      return bash(places);
    case 'zsh':
      return zsh(places);
    case 'fish':
      return fish(places);
  }
}

function placesUnder(place: Place): readonly Place[] {
  const below = place.command.commands.map((command) => ({ path: [...place.path, command.name()], command }));
  return [place, ...below.flatMap(placesUnder)];
}

function key({ path }: Place): string {
  return path.map((word) => ` ${word}`).join('');
}

function optionsOf({ command }: Place): readonly Option[] {
  return command.createHelp().visibleOptions(command);
}

/** Everything that may stand there: commands, the choices of arguments, options. */
function wordsOf(place: Place): readonly string[] {
  const { command } = place;
  const choices = command.registeredArguments.flatMap((argument) => argument.argChoices ?? []);
  return [...command.commands.map((one) => one.name()), ...choices, ...optionsOf(place).flatMap(({ long }) => long ?? [])];
}

/** By its choices, the options that take one of them. */
function choicesOf(places: readonly Place[]): ReadonlyMap<string, string> {
  const chosen = places
    .flatMap(optionsOf)
    .flatMap(({ long, argChoices }) => (long && argChoices ? [[long, argChoices.join(' ')] as const] : []));
  return new Map(chosen);
}

function bash(places: readonly Place[]): string {
  const [, ...below] = places;
  return `# nanosync completion bash > /etc/bash_completion.d/nanosync, or: source <(nanosync completion bash)
_nanosync() {
  local cur="\${COMP_WORDS[COMP_CWORD]}" at="" words="" word
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "$at $word" in ${below.map((place) => `"${key(place)}"`).join('|')}) at="$at $word" ;; esac
  done
  case "\${COMP_WORDS[COMP_CWORD-1]}" in
    -f|${PATHS.join('|')}) COMPREPLY=($(compgen -f -- "$cur")); return ;;
${[...choicesOf(places)].map(([option, choices]) => `    ${option}) COMPREPLY=($(compgen -W "${choices}" -- "$cur")); return ;;`).join('\n')}
  esac
  case "$at" in
${places.map((place) => `    "${key(place)}") words="${wordsOf(place).join(' ')}" ;;`).join('\n')}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
}
complete -o filenames -F _nanosync nanosync`;
}

function zsh(places: readonly Place[]): string {
  const [, ...below] = places;
  return `#compdef nanosync
# nanosync completion zsh > a folder of $fpath/_nanosync, or: source <(nanosync completion zsh)
_nanosync() {
  local at="" word
  for word in "\${(@)words[2,CURRENT-1]}"; do
    case "$at $word" in ${below.map((place) => `"${key(place)}"`).join('|')}) at="$at $word" ;; esac
  done
  case "\${words[CURRENT-1]}" in
    -f|${PATHS.join('|')}) _files; return ;;
${[...choicesOf(places)].map(([option, choices]) => `    ${option}) compadd -- ${choices}; return ;;`).join('\n')}
  esac
  case "$at" in
${places.map((place) => `    "${key(place)}") compadd -- ${wordsOf(place).join(' ')} ;;`).join('\n')}
  esac
}
compdef _nanosync nanosync`;
}

function fish(places: readonly Place[]): string {
  const lines = places.flatMap((place) => {
    const children = place.command.commands.map((one) => one.name());
    const seen = place.path.map((word) => `__fish_seen_subcommand_from ${word}`);
    const here = [...seen, ...(children.length === 0 ? [] : [`not __fish_seen_subcommand_from ${children.join(' ')}`])].join('; and ');
    const complete = (rest: string) => `complete -c nanosync -n ${quoted(here)} ${rest}`;
    const choices = place.command.registeredArguments.flatMap((argument) => argument.argChoices ?? []);
    return [
      ...place.command.commands.map((one) => complete(`-f -a ${one.name()} -d ${quoted(one.description())}`)),
      ...choices.map((choice) => complete(`-f -a ${choice}`)),
      ...optionsOf(place).map((option) => complete(fishOption(option))),
    ];
  });
  return ['# nanosync completion fish > ~/.config/fish/completions/nanosync.fish', ...lines].join('\n');
}

function fishOption({ long, short, description, argChoices, required }: Option): string {
  const name = `${long === undefined || long === null ? '' : `-l ${long.slice(2)}`}${short ? ` -s ${short.slice(1)}` : ''}`;
  const value = argChoices ? ` -x -a ${quoted(argChoices.join(' '))}` : !required ? ' -f' : PATHS.includes(long ?? '') ? ' -r -F' : ' -x';
  return `${name}${value} -d ${quoted(description)}`;
}

function quoted(text: string): string {
  return `'${text.replace(/[\\']/g, '\\$&')}'`;
}
