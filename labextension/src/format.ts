/** How quantities read, and when they are a reason to worry: functions from data to data. */

import { ISession } from './answers';

/** The part of a `TranslationBundle` that is used here. */
export interface ITranslate {
  __(text: string, ...values: any[]): string;
}

export type Level = 'ok' | 'amber' | 'red';

const AMBER_PART = 0.8;
const RED_PART = 0.95;
const AMBER_S = 15 * 60;
const RED_S = 5 * 60;

/** MiB in GiB, with one digit below ten: "3.1", "16". */
export function gib(mib: number): string {
  const value = mib / 1024;
  return value < 9.95 ? value.toFixed(1) : value.toFixed(0);
}

/** Bytes in the largest unit that leaves a whole one: "812 MiB", "3.1 GiB". */
export function size(bytes: number): string {
  let value = bytes;
  for (const unit of ['B', 'KiB', 'MiB', 'GiB']) {
    if (value < 1000) {
      return `${value < 9.95 && unit !== 'B' ? value.toFixed(1) : value.toFixed(0)} ${unit}`;
    }
    value /= 1024;
  }
  return `${value.toFixed(1)} TiB`;
}

/** "45 s", "12 min", "1 h 20 min", "2 d 3 h"; rounded down, so that nobody is late. */
export function duration(seconds: number, trans: ITranslate): string {
  const minutes = Math.floor(seconds / 60);
  if (minutes < 2) {
    return trans.__('%1 s', Math.max(0, Math.floor(seconds)));
  }
  if (minutes < 60) {
    return trans.__('%1 min', minutes);
  }
  const hours = Math.floor(minutes / 60);
  if (hours < 48) {
    return minutes % 60
      ? trans.__('%1 h %2 min', hours, minutes % 60)
      : trans.__('%1 h', hours);
  }
  return trans.__('%1 d %2 h', Math.floor(hours / 24), hours % 24);
}

function worse(one: Level, other: Level): Level {
  return one === 'red' || other === 'red' ? 'red' : one === 'ok' ? other : one;
}

/** Of a part of a whole that is used. */
export function levelOfUse(used: number | null, limit: number): Level {
  const part = used === null || limit <= 0 ? 0 : used / limit;
  return part >= RED_PART ? 'red' : part >= AMBER_PART ? 'amber' : 'ok';
}

/** Of the time that is left. */
export function levelOfTime(seconds: number | null): Level {
  return seconds === null || seconds >= AMBER_S ? 'ok' : seconds >= RED_S ? 'amber' : 'red';
}

/** What the status bar says, and how urgently. */
export interface IStatus {
  text: string;
  level: Level;
}

/** GPU memory of the slice (without one: memory), and the time left. */
export function statusOf(session: ISession, trans: ITranslate): IStatus {
  const gpu = session.fgpu > 0;
  const used = gpu ? session.use.gpu_memory_mib : session.use.memory_mib;
  const limit = gpu ? session.gpu_memory_mib : session.memory_mib;
  const what = gpu ? trans.__('GPU') : trans.__('Memory');
  const amount = used === null ? `${gib(limit)} GiB` : `${gib(used)} / ${gib(limit)} GiB`;
  const left = session.notice ? session.notice.seconds_left : session.time.seconds_left;
  const parts = [`${what} ${amount}`];
  if (left !== null) {
    parts.push(trans.__('%1 left', duration(left, trans)));
  }
  let level = worse(levelOfUse(used, limit), levelOfTime(left));
  if (session.notice) {
    level = 'red';
  } else if (session.alerts.length) {
    level = worse(level, 'amber');
  }
  return { text: parts.join(' · '), level };
}

/** A value of the last minutes; `ago_s` seconds before now. */
export interface IValue {
  ago_s: number;
  value: number | null;
}

/**
 * Path of a line in a box of 100 x 100, `span_s` wide and `limit` high. Where nothing was
 * measured the line is interrupted.
 */
export function linePath(values: IValue[], span_s: number, limit: number): string {
  let path = '';
  let broken = true;
  for (const { ago_s, value } of values) {
    if (value === null || ago_s > span_s) {
      broken = true;
      continue;
    }
    const x = 100 - (100 * ago_s) / span_s;
    const y = 100 - 100 * Math.min(1, limit > 0 ? value / limit : 0);
    path += `${broken ? 'M' : 'L'}${x.toFixed(1)} ${y.toFixed(1)}`;
    broken = false;
  }
  return path;
}

/** How much may be added, of the usual steps and the most there is; seconds. */
export function extensions(most_s: number | null): number[] {
  const usual = [3600, 2 * 3600, 4 * 3600, 8 * 3600];
  if (most_s === null) {
    return usual;
  }
  const possible = usual.filter(step => step < most_s);
  return most_s >= 60 ? [...possible, Math.floor(most_s)] : possible;
}
