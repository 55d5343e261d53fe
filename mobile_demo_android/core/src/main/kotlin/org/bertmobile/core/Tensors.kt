package org.bertmobile.core

/** Whole numbers in rows, such as token ids; [shape] says how many there are of what. */
class IntTensor(val shape: IntArray, val values: IntArray) {
    init {
        checkSize(shape, values.size)
    }
}

/** Numbers in rows, such as scores; [shape] says how many there are of what. */
class FloatTensor(val shape: IntArray, val values: FloatArray) {
    init {
        checkSize(shape, values.size)
    }

    /** Part of the last axis: row [index] of all rows. */
    fun row(index: Int): FloatArray {
        val width = shape.last()
        return values.copyOfRange(index * width, (index + 1) * width)
    }
}

private fun checkSize(shape: IntArray, size: Int) {
    require(shape.fold(1) { product, side -> product * side } == size) {
        "a tensor of ${shape.joinToString(" x ")} cannot have $size values"
    }
}
