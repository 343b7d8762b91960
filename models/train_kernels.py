"""train_kernels.c as torch functions. load() compiles it into the given folder; before that nothing here may be used."""
import ctypes
import os
import subprocess

import torch

HERE = os.path.dirname(os.path.abspath(__file__))
lib = None


def load(folder):
    global lib
    path = os.path.join(folder, "train_kernels.so")
    subprocess.run(["cc", "-O3", "-march=native", "-mprefer-vector-width=512", "-ffast-math", "-shared", "-fPIC", "-o",
                    path + ".new", os.path.join(HERE, "train_kernels.c"), "-lm"], check=True)
    os.replace(path + ".new", path)
    lib = ctypes.CDLL(path)


def call(name, n, *tensors):
    for t in tensors:
        assert t.is_contiguous()
    getattr(lib, name)(ctypes.c_long(n), *[ctypes.c_void_p(t.data_ptr()) for t in tensors])


class Unit(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        y, inv = torch.empty(x.shape, dtype=torch.bfloat16), torch.empty(len(x))
        call("norm_forward", len(x), x, y, inv)
        ctx.save_for_backward(x, inv)
        return y

    @staticmethod
    def backward(ctx, grad):
        x, inv = ctx.saved_tensors
        out = torch.empty_like(x)
        call("norm_backward", len(x), grad.contiguous(), x, inv, out)
        return out


class Swiglu(torch.autograd.Function):
    @staticmethod
    def forward(ctx, h):
        y = torch.empty(len(h), h.shape[1] // 2, dtype=torch.bfloat16)
        call("swiglu_forward", len(h), h, y)
        ctx.save_for_backward(h)
        return y

    @staticmethod
    def backward(ctx, grad):
        h, = ctx.saved_tensors
        out = torch.empty_like(h)
        call("swiglu_backward", len(h), grad.contiguous(), h, out)
        return out


class Add(torch.autograd.Function):
    """x + y * keep, with one row of keep for all rows of an example."""

    @staticmethod
    def forward(ctx, x, y, keep, example):
        out = torch.empty_like(x)
        call("add_forward", len(x), x, y, keep, example, out)
        ctx.save_for_backward(keep, example)
        return out

    @staticmethod
    def backward(ctx, grad):
        keep, example = ctx.saved_tensors
        grad = grad.contiguous()
        out = torch.empty(grad.shape, dtype=torch.bfloat16)
        call("add_backward", len(grad), grad, keep, example, out)
        return grad, out, None, None


class Attention(torch.autograd.Function):
    @staticmethod
    def forward(ctx, qkv, lengths, cosine, sine):
        out = torch.empty(len(qkv), qkv.shape[1] // 2, dtype=torch.bfloat16)
        call("attention_forward", len(lengths), lengths, qkv, cosine, sine, out)
        ctx.save_for_backward(qkv, lengths, cosine, sine)
        return out

    @staticmethod
    def backward(ctx, grad):
        qkv, lengths, cosine, sine = ctx.saved_tensors
        out = torch.empty_like(qkv)
        call("attention_backward", len(lengths), lengths, grad.contiguous(), qkv, cosine, sine, out)
        return out, None, None, None
