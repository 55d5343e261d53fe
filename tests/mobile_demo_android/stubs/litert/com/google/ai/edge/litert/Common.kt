package com.google.ai.edge.litert

enum class Accelerator { NONE, CPU, GPU, NPU }

abstract class JniHandle internal constructor() : AutoCloseable {
    final override fun close(): Unit = TODO()
}

class LiteRtException(code: Int, message: String) : Exception("$code: $message")
