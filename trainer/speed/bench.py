#!/usr/bin/env python3
"""Tokens a processor second: our trainer on its backends and PyTorch, in turns, on equal weights and batches.

    python3 trainer/speed/bench.py --speed out/speed/speed [--plugin /path/to/pjrt_c_api_cpu_plugin.so] out/speed

Needs torch and safetensors (PyPI: torch==2.11.0). One turn is one process an engine; each model has --turns of them.
PyTorch: eager, float32, its fused attention, AdamW as PyTorch makes it (and fused, a row of its own), clipping at norm 1.
OMP_WAIT_POLICY=PASSIVE and GOMP_SPINCOUNT=0, without which its idle threads burn processor time that is counted.
"""
import argparse, json, math, os, pathlib, resource, subprocess, sys, time

HERE = pathlib.Path(__file__).parent
MODELS = {"small": ("small.json", 8, 128), "medium": ("medium.json", 4, 256)}


def cpu():
    u = resource.getrusage(resource.RUSAGE_SELF)
    return u.ru_utime + u.ru_stime


def torch_steps(folder, seconds, fused, threads):
    """The child process: the same steps in PyTorch; prints the line that speed prints."""
    import torch
    import torch.nn.functional as F
    from safetensors.torch import load_file

    torch.set_num_threads(threads)
    c = json.load(open(f"{folder}/config.json"))
    b = json.load(open(f"{folder}/batch.json"))
    w = {k: v.float().requires_grad_() for k, v in load_file(f"{folder}/model.safetensors").items()}
    B, S, H, D = b["rows"], b["length"], c["num_attention_heads"], c["hidden_size"]
    C, eps = D // H, c["rms_norm_eps"]
    A = len(b["gold"])
    tokens = torch.tensor(b["tokens"]).view(B, S)
    index, gold = torch.tensor(b["index"]), torch.tensor(b["gold"])
    ids = torch.tensor(b["ids"]).view(A, -1)
    gold_weight, teacher_weight, rest = (torch.tensor(b[k]) for k in ("gold_weight", "teacher_weight", "rest"))
    probs = torch.tensor(b["probs"]).view(A, -1)
    p = torch.cat([probs, rest[:, None]], 1)
    log_p = p.clamp_min(1e-38).log()
    inverse = 1 / c["rope_theta"] ** (torch.arange(0, C, 2).float() / C)
    angle = torch.outer(torch.arange(S).float(), inverse)
    cos, sin = torch.cat([angle.cos()] * 2, 1), torch.cat([angle.sin()] * 2, 1)

    def rope(x):
        left, right = x.chunk(2, -1)
        return x * cos + torch.cat([-right, left], -1) * sin

    def norm(x, name):
        return F.rms_norm(x, (D,), w[name + ".weight"], eps)

    def heads(x):
        return x.view(B, S, H, C).transpose(1, 2)

    def loss_of():
        x = F.embedding(tokens, w["model.embed_tokens.weight"])
        for l in range(c["num_hidden_layers"]):
            n = f"model.layers.{l}."
            lin = lambda h, m: F.linear(h, w[n + m + ".weight"])
            h = norm(x, n + "input_layernorm")
            q, k, v = (heads(lin(h, f"self_attn.{m}_proj")) for m in "qkv")
            o = F.scaled_dot_product_attention(rope(q), rope(k), v, is_causal=True)
            x = x + lin(o.transpose(1, 2).reshape(B, S, D), "self_attn.o_proj")
            h = norm(x, n + "post_attention_layernorm")
            x = x + lin(F.silu(lin(h, "mlp.gate_proj")) * lin(h, "mlp.up_proj"), "mlp.down_proj")
        x = norm(x, "model.norm").view(B * S, D)[index]
        z = F.linear(x, w["model.embed_tokens.weight" if c["tie_word_embeddings"] else "lm_head.weight"])
        lse = z.logsumexp(-1, keepdim=True)
        ce = (lse - z.gather(1, gold[:, None])).squeeze(1)
        log_q = z.gather(1, ids) - lse
        s = log_q.logsumexp(1, keepdim=True).clamp_max(-1e-7)
        log_q = torch.cat([log_q, torch.log(-torch.expm1(s)).clamp_min(math.log(1e-8))], 1)
        kl = (p * (log_p - log_q)).sum(1)
        return (gold_weight * ce + teacher_weight * kl).sum()

    decay = [v for v in w.values() if v.dim() > 1]
    others = [v for v in w.values() if v.dim() == 1]
    groups = [{"params": decay, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}]
    opt = torch.optim.AdamW(groups, lr=1e-3, betas=(0.9, 0.95), eps=1e-8, fused=fused)

    def step():
        opt.zero_grad()
        loss = loss_of()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(w.values(), 1.0)
        opt.step()
        return loss.item()

    losses, steps, start, begin = [], 0, None, cpu()
    first = 0
    n, begun = 0, 0
    while n <= 3 or cpu() - begun < seconds:
        loss = step()
        if n < 16:
            losses.append(loss)
        if n == 0:
            first = cpu() - begin
        if n == 3:
            begun, start = cpu(), time.time()
        if n > 3:
            steps += 1
        n += 1
    print(json.dumps({"steps": steps, "tokens": steps * B * S, "cpu_seconds": cpu() - begun, "wall_seconds": time.time() - start,
                      "first_step_cpu_seconds": first, "apply_cpu_seconds": 0, "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, "losses": losses}))


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("folder", help="for models and batches; made if needed")
    a.add_argument("--speed", default="out/speed/speed", help="the program go build makes of trainer/speed")
    a.add_argument("--plugin", default="", help="PJRT plugin for the processor; needs a --speed built with -tags xla")
    a.add_argument("--turns", type=int, default=3)
    a.add_argument("--seconds", type=float, default=8, help="processor seconds of one measurement")
    a.add_argument("--threads", type=int, default=2, help="PyTorch's threads; ours are GOMAXPROCS")
    a.add_argument("--models", default="small,medium")
    a.add_argument("--torch", metavar="DIR", help=argparse.SUPPRESS)
    a.add_argument("--fused", action="store_true", help=argparse.SUPPRESS)
    o = a.parse_args()
    if o.torch:
        return torch_steps(o.torch, o.seconds, o.fused, o.threads)
    env = dict(os.environ, OMP_WAIT_POLICY="PASSIVE", GOMP_SPINCOUNT="0", OMP_NUM_THREADS=str(o.threads), GOMAXPROCS=str(o.threads))
    me = [sys.executable, __file__, o.folder, "--seconds", str(o.seconds), "--threads", str(o.threads), "--torch"]
    for name in o.models.split(","):
        config, rows, length = MODELS[name]
        folder = f"{o.folder}/{name}"
        subprocess.run([o.speed, "-dir", folder, "-make", str(HERE / config), "-rows", str(rows), "-length", str(length)], check=True)
        ours = [o.speed, "-dir", folder, "-seconds", str(o.seconds)]
        engines = {"PyTorch eager": me + [folder], "PyTorch eager, fused AdamW": me + [folder, "--fused"], "Go backend": ours}
        if o.plugin:
            xla = ours + ["-backend", "xla:" + o.plugin]
            engines["XLA, processor"] = xla
            engines["XLA, bfloat16"] = xla + ["-precision", "bfloat16"]
            engines["XLA, gradient checkpointing"] = xla + ["-recompute"]
        engines["Go backend, gradient checkpointing"] = ours + ["-recompute"]
        runs = {e: [] for e in engines}
        for turn in range(o.turns):
            for e, command in engines.items():
                out = subprocess.run(command, env=env, check=True, stdout=subprocess.PIPE, text=True).stdout
                runs[e].append(json.loads(out.strip().splitlines()[-1]))
                print(f"{name} turn {turn + 1} {e}: {runs[e][-1]['tokens'] / runs[e][-1]['cpu_seconds']:.0f}", file=sys.stderr)
        report(name, rows, length, runs)


def report(name, rows, length, runs):
    reference = runs["PyTorch eager"]
    mean = lambda rs: sum(r["tokens"] for r in rs) / sum(r["cpu_seconds"] for r in rs)
    base = mean(reference)
    print(f"\n{name}: {rows} rows of {length} tokens; load {os.getloadavg()[0]:.1f}\n")
    print("| engine | tokens/CPU-s | of the turns | of PyTorch | tokens/s | optimizer | peak MiB | first step, CPU-s | losses differ by |")
    print("|---|---|---|---|---|---|---|---|---|")
    for e, rs in runs.items():
        rates = [r["tokens"] / r["cpu_seconds"] for r in rs]
        wall = max(r["tokens"] / r["wall_seconds"] for r in rs)
        far = max(abs(x - y) / y for x, y in zip(rs[0]["losses"], reference[0]["losses"]))
        share = sum(r["apply_cpu_seconds"] for r in rs) / sum(r["cpu_seconds"] for r in rs)
        optimizer = f"{share:.1%}" if share else ""
        print(f"| {e} | {mean(rs):,.0f} | {min(rates):,.0f}–{max(rates):,.0f} | {mean(rs) / base:.2f} | {wall:,.0f} | {optimizer} | {max(r['peak_mib'] for r in rs):,.0f} | {max(r['first_step_cpu_seconds'] for r in rs):.1f} | {far:.1e} |")
    if max(abs(x - y) / y for e, rs in runs.items() if "bfloat16" not in e for x, y in zip(rs[0]["losses"][:8], reference[0]["losses"][:8])) > 1e-3:
        sys.exit("the losses of the first eight steps differ by more than 1e-3: the engines do not do the same work")


main()
