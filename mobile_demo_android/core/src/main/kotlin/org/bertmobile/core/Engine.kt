package org.bertmobile.core

/**
 * Runs the model of one bundle.
 *
 * The shape of `input_ids`, [1, bucket], says which of the model's signatures is meant. All inputs are whole numbers
 * and all outputs are read as float32, so an engine widens the ones and narrows or widens the others where its model
 * has other types.
 */
interface Engine : AutoCloseable {
    /**
     * Run the model once.
     *
     * @param inputs the manifest's inputs by name.
     * @return the manifest's outputs by name.
     */
    fun run(inputs: Map<String, IntTensor>): Map<String, FloatTensor>
}

internal fun Map<String, FloatTensor>.output(name: String): FloatTensor =
    this[name] ?: throw BundleException("the model gives no $name, but $keys; export the bundle again")
