package com.google.ai.edge.litert

class Environment private constructor() : JniHandle() {
    enum class Option { CompilerPluginLibraryDir, DispatchLibraryDir }

    fun getAvailableAccelerators(): Set<Accelerator> = TODO()

    companion object {
        @JvmOverloads
        @JvmStatic
        fun create(options: Map<Option, String> = mapOf()): Environment = TODO()
    }
}
