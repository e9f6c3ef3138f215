/** What the server extension answers. Times are durations in seconds: no clock is trusted. */

/** Code of the alert, and of the notice, that it holds too much of that. */
const GPU_MEMORY = 'gpu_memory';

/** The warning that a session will be stopped. */
export interface INotice {
  code: string;
  message: string;
  stops_at: number;
  seconds_left: number;
}

/** Something to know that stops nothing by itself. */
export interface IAlert {
  code: string;
  message: string;
}

/** What is used now; null: not measured. `gpu`: 0 to 1 of the slice. */
export interface IUse {
  gpu_memory_mib: number | null;
  gpu: number | null;
  cpu_milli: number | null;
  memory_mib: number | null;
}

/** The first end in sight, whether it is warned of or not. */
export interface ITime {
  seconds_left: number | null;
  code: string | null;
}

/** A session as `GET apportion/session` tells of it. */
export interface ISession {
  id: string;
  name: string;
  project: string;
  fgpu: number;
  gpu_memory_mib: number;
  cpu_milli: number;
  memory_mib: number;
  simulated: boolean;
  notice: INotice | null;
  alerts: IAlert[];
  requeue: boolean;
  page: string;
  use: IUse;
  time: ITime;
}

/** Without the one of GPU memory when its notice tells of that already. */
export function alertsOf(session: ISession): IAlert[] {
  const told = session.notice?.code === GPU_MEMORY;
  return session.alerts.filter(alert => !(told && alert.code === GPU_MEMORY));
}

/** Use at a moment of the last minutes. */
export interface IPoint extends IUse {
  ago_s: number;
}

export interface IFolder {
  name: string;
  target: string;
  mode: string;
  used_bytes: number | null;
  limit_bytes: number | null;
  free_bytes: number | null;
  full: boolean;
}

export interface IQuota {
  project: string;
  title: string;
  used_fgpu: number;
  quota_fgpu: number | null;
  limit_fgpu: number | null;
  sentence: string;
}

export interface IImageRequest {
  name: string;
  state: string;
  reason: string;
  reference: string | null;
  progress: number | null;
  pending: boolean;
}

/** A session as `GET apportion/panel` tells of it. */
export interface IPanel extends ISession {
  image: string;
  image_title: string;
  image_version: string;
  node: string | null;
  enforcer: { name: string; title: string; isolates: string } | null;
  folders: IFolder[];
  quota: IQuota;
  time: ITime & {
    message: string;
    extend: { allowed: boolean; most_s: number | null; why: string };
    idle: { limit_s: number | null; idle_s: number | null; left_s: number | null };
  };
  recent: { points: IPoint[] };
  image_request: IImageRequest | null;
  can: { image_request: boolean; share: boolean; extend: boolean; stop: boolean };
  shared: boolean;
  links: { page: string; launch_again: string };
}
