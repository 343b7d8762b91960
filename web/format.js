// Numbers and times for people. Amounts come as texts of mote and are never made floating point on the way.
const MOTE = 1000000000n;

// "1.5 KITH"; at most `digits` behind the point, rounded down, but never down to nothing.
export function kith(mote, digits = 9) {
    let n = BigInt(mote ?? 0);
    const sign = n < 0n ? "-" : "";
    n = n < 0n ? -n : n;
    const whole = (n / MOTE).toString().replace(/\B(?=(\d{3})+$)/g, "\u202f");
    const all = (n % MOTE).toString().padStart(9, "0").replace(/0+$/, "");
    let part = all.slice(0, digits);
    if (n < MOTE && all && /^0*$/.test(part))
        part = all.slice(0, all.search(/[1-9]/) + 2);
    return sign + whole + (part ? "." + part : "") + " KITH";
}

// For plots only.
export const kithNumber = (mote) => Number(BigInt(mote ?? 0)) / 1e9;

export const count = (n) => String(n ?? 0).replace(/\B(?=(\d{3})+$)/g, "\u202f");

export function bytes(n) {
    const units = ["bytes", "KiB", "MiB", "GiB", "TiB"];
    let unit = 0;
    for (; n >= 1024 && unit < units.length - 1; unit++)
        n /= 1024;
    return (unit ? n.toFixed(n < 10 ? 1 : 0) : n) + " " + units[unit];
}

export const percent = (bps) => (bps / 100).toFixed(2).replace(/\.?0+$/, "") + " %";

export const time = (ms) => ms ? new Date(ms).toLocaleString(undefined, {dateStyle: "medium", timeStyle: "medium"}) : "never";

export function span(ms) {
    const s = Math.max(0, Math.round(ms / 1000));
    if (s < 60)
        return s + " s";
    if (s < 3600)
        return Math.floor(s / 60) + " min";
    if (s < 86400)
        return Math.floor(s / 3600) + " h " + Math.floor(s % 3600 / 60) + " min";
    return Math.floor(s / 86400) + " days";
}

export const ago = (ms) => ms ? span(Date.now() - ms) + " ago" : "never";

// The ends of what is too long to read: people compare those.
export const short = (text) => text.length > 20 ? text.slice(0, 8) + "…" + text.slice(-6) : text;

export const isZero = (hex) => !hex || /^0*$/.test(hex);
